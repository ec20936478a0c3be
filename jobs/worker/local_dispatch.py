"""Begins a job that one of the worker's own attempts submitted in the same worker, without the way through Redis.

An answer is followed by a job that suggests questions, and sometimes by one that summarises. For such a short job the
way through the queue costs as much as the job. RQ need not know of it: the row is the truth, and if this worker is lost
before it has claimed the row, the sweeper finds a job that is in no queue (docs/decisions/0020).
"""

from __future__ import annotations

import contextvars
import logging

from redis import RedisError
from rq import suspension

from jobs.backends import queues
from jobs.models import AiJob
from jobs.worker.heartbeat import RegisteredWorker
from jobs.worker.loop_thread import LoopThread
from jobs.worker.run import run_job
from jobs.worker.runtime import Runtime
from jobs.worker.slots import Slots

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 5.0  # while the event loop is late: the answers that keep it busy go first


class LocalDispatch:
    """Takes jobs while the worker has slots to spare: then nothing waits in its queues, and nothing is overtaken."""

    def __init__(self, worker: RegisteredWorker, slots: Slots, loop: LoopThread, runtime: Runtime) -> None:
        self._worker = worker
        self._slots = slots
        self._loop = loop
        self._runtime = runtime

    def take(self, job: AiJob) -> bool:
        """Begin the job, if the worker would take such jobs now and has room. From any thread."""
        if (
            self._worker._stop_requested
            or job.queue not in self._slots.open_queues()
            or not self._slots.acquire(timeout=0)
        ):
            return False
        # In a new context: the log fields of the attempt that submitted the job are not about this one.
        self._slots.fill(contextvars.Context().run(self._loop.submit, self._run(job)), job.queue)
        return True

    async def _run(self, job: AiJob) -> None:
        await self._loop.wait_until_on_time(LONGEST_WAIT_SECONDS)
        if self._worker._stop_requested:  # it is in no queue: the sweeper of another worker finds it
            return
        try:
            if await self._is_suspended():
                await self._runtime.db.call(queues.enqueue, job)
            else:
                await run_job(job.pk, self._runtime)
        except Exception as error:  # it could not be claimed: the sweeper brings it back
            logger.warning("job %s did not start: %s", job.pk, error)

    async def _is_suspended(self) -> bool:
        """Asked here and not by `take`, which runs on a database thread: a Redis that hangs must not block those."""
        try:
            return bool(await self._runtime.redis.exists(suspension.WORKERS_SUSPENDED))
        except (RedisError, OSError):
            return True
