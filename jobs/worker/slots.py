"""A worker's slots, and the jobs that fill them."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections import Counter
from collections.abc import Sequence

Job = concurrent.futures.Future[None]

LOWEST_EVERY = 20


class Slots:
    """A slot is acquired before a job is popped, and released when that job has ended.

    Jobs of lower queues cannot fill all slots: the lowest queue gets half of them, queues in between a share in
    between. So a job of the first queue finds a slot although many others wait for the upstream's rate. No queue
    starves either: each LOWEST_EVERY-th job comes from the lowest queue that has any.
    """

    def __init__(self, count: int, queues: Sequence[str]) -> None:
        self._free = threading.Semaphore(count)
        self._most = {queue: max(1, round(count * share)) for queue, share in _shares(queues)}
        self._jobs: dict[Job, str] = {}  # with their queues
        self._filled = 0
        self._idle_since = time.monotonic()

    @property
    def in_flight(self) -> int:
        """Number of jobs that have not ended."""
        return len(self._jobs)

    def open_queues(self) -> list[str]:
        """The queues from which another job may be popped now, in their order."""
        taken, lower, queues = Counter(list(self._jobs.values())), 0, list[str]()
        for queue in reversed(self._most):
            lower += taken[queue]
            if lower < self._most[queue]:
                queues.insert(0, queue)
        return queues

    def queues_in_turn(self) -> list[str]:
        """The open queues, in the order in which to pop from them."""
        queues = self.open_queues()
        return queues[::-1] if self._filled % LOWEST_EVERY == LOWEST_EVERY - 1 else queues

    def acquire(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a free slot; False when there was none."""
        acquired = self._free.acquire(timeout=timeout)
        self._idle_since = time.monotonic()
        return acquired

    def release(self) -> None:
        """Release a slot when no job arrived for it."""
        self._free.release()

    def fill(self, job: Job, queue: str) -> None:
        """Put a job of this queue into the acquired slot."""
        self._filled += 1
        self._jobs[job] = queue
        job.add_done_callback(self._empty)

    def wait(self, timeout: float) -> None:
        """Wait until no job is in flight, up to `timeout` seconds."""
        concurrent.futures.wait(set(self._jobs), timeout)

    def is_idle_for(self, seconds: float) -> bool:
        """Whether no job was in flight and no slot was acquired for this long."""
        return not self._jobs and time.monotonic() - self._idle_since >= seconds

    def _empty(self, job: Job) -> None:
        self._idle_since = time.monotonic()
        self._jobs.pop(job, None)
        self._free.release()


def _shares(queues: Sequence[str]) -> list[tuple[str, float]]:
    """The share of the slots that each queue may fill with those below it: 1 for the first, 0.5 for the last."""
    last = max(1, len(queues) - 1)
    return [(queue, 1 - place / last / 2) for place, queue in enumerate(queues)]
