"""A worker's slots, and the jobs in them."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections import Counter
from collections.abc import Sequence

Job = concurrent.futures.Future[None]

TURN = 20


class Slots:
    """One is taken before a job is popped, and is free again when that job has ended.

    Jobs of lower queues cannot take them all: those of the lowest get half of them, those of queues between come in
    between, so that a job of the first finds one though many others wait for the upstream's rate. No queue is starved
    either: every TURN-th job is of the lowest that has any.
    """

    def __init__(self, count: int, queues: Sequence[str]) -> None:
        self._free = threading.Semaphore(count)
        self._most = {queue: max(1, round(count * share)) for queue, share in _shares(queues)}
        self._jobs: dict[Job, str] = {}  # with their queues
        self._filled = 0
        self._idle_since = time.monotonic()

    @property
    def in_flight(self) -> int:
        """How many jobs have not ended."""
        return len(self._jobs)

    def open_queues(self) -> list[str]:
        """The queues of which another job may be taken now, in their order."""
        taken, lower, queues = Counter(list(self._jobs.values())), 0, list[str]()
        for queue in reversed(self._most):
            lower += taken[queue]
            if lower < self._most[queue]:
                queues.insert(0, queue)
        return queues

    def queues_in_turn(self) -> list[str]:
        """The same, in the order in which to look for the next job."""
        queues = self.open_queues()
        return queues[::-1] if self._filled % TURN == TURN - 1 else queues

    def take(self, timeout: float) -> bool:
        """Wait for a free slot; False when there was none in time."""
        taken = self._free.acquire(timeout=timeout)
        self._idle_since = time.monotonic()
        return taken

    def give_back(self) -> None:
        """A slot that was taken for a job that did not come."""
        self._free.release()

    def fill(self, job: Job, queue: str) -> None:
        """Put the job of this queue into the slot that was taken for it."""
        self._filled += 1
        self._jobs[job] = queue
        job.add_done_callback(self._empty)

    def wait(self, timeout: float) -> None:
        """Wait until none is in flight, or for so long."""
        concurrent.futures.wait(set(self._jobs), timeout)

    def is_idle_for(self, seconds: float) -> bool:
        """Whether for so long nothing has been in flight, and no slot has been taken."""
        return not self._jobs and time.monotonic() - self._idle_since >= seconds

    def _empty(self, job: Job) -> None:
        self._idle_since = time.monotonic()
        self._jobs.pop(job, None)
        self._free.release()


def _shares(queues: Sequence[str]) -> list[tuple[str, float]]:
    """How much of the slots each queue may take together with those below it: all for the first, half for the last."""
    last = max(1, len(queues) - 1)
    return [(queue, 1 - place / last / 2) for place, queue in enumerate(queues)]
