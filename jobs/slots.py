"""A worker's slots, and the jobs in them."""

from __future__ import annotations

import concurrent.futures
import threading
import time

Job = concurrent.futures.Future[None]


class Slots:
    """One is taken before a job is popped, and is free again when that job has ended."""

    def __init__(self, count: int) -> None:
        self._free = threading.Semaphore(count)
        self._jobs: set[Job] = set()
        self._idle_since = time.monotonic()

    @property
    def in_flight(self) -> int:
        """How many jobs have not ended."""
        return len(self._jobs)

    def take(self, timeout: float) -> bool:
        """Wait for a free slot; False when there was none in time."""
        taken = self._free.acquire(timeout=timeout)
        self._idle_since = time.monotonic()
        return taken

    def give_back(self) -> None:
        """A slot that was taken for a job that did not come."""
        self._free.release()

    def fill(self, job: Job) -> None:
        """Put the job into the slot that was taken for it."""
        self._jobs.add(job)
        job.add_done_callback(self._empty)

    def wait(self, timeout: float) -> None:
        """Wait until none is in flight, or for so long."""
        concurrent.futures.wait(set(self._jobs), timeout)

    def is_idle_for(self, seconds: float) -> bool:
        """Whether for so long nothing has been in flight, and no slot has been taken."""
        return not self._jobs and time.monotonic() - self._idle_since >= seconds

    def _empty(self, job: Job) -> None:
        self._idle_since = time.monotonic()
        self._jobs.discard(job)
        self._free.release()
