"""The short way of a job that a worker's own run submits: into a slot of the same worker, not through Redis.

An answer is followed by a job that suggests questions, at times by one that summarises. For such a short job the way
through the queue costs as much as the job. RQ need not know of it: the row is the truth, and if this worker is lost
before it has claimed the row, the sweeper finds a job that is in no queue (docs/decisions/0020).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging

from redis import RedisError
from rq import suspension

from jobs.backends import db, queues
from jobs.events import publish
from jobs.models import AiJob
from jobs.worker.heartbeat import RegisteredWorker
from jobs.worker.loop_thread import LoopThread
from jobs.worker.run import run_job
from jobs.worker.slots import Slots

logger = logging.getLogger(__name__)

LOOK_SECONDS, LAG_SECONDS, PATIENCE_SECONDS = 0.25, 0.01, 5.0


class Shortcut:
    """Open while a worker has slots to spare: then nothing waits in its queues, and nothing is overtaken."""

    def __init__(self, worker: RegisteredWorker, slots: Slots, loop: LoopThread) -> None:
        self._worker = worker
        self._slots = slots
        self._loop = loop

    def take(self, job: AiJob) -> bool:
        """Begin the job, if the worker would take such jobs now and has room. From any thread."""
        if (
            self._worker._stop_requested
            or job.queue not in self._slots.open_queues()
            or not self._slots.take(timeout=0)
        ):
            return False
        # In a context of its own: what the run that submitted it says of itself in the logs is not about this one.
        self._slots.fill(contextvars.Context().run(self._loop.submit, self._run(job)), job.queue)
        return True

    async def _run(self, job: AiJob) -> None:
        await _until_calm()
        if self._worker._stop_requested:  # it is in no queue: the sweeper of another worker finds it
            return
        try:
            if await _is_suspended():
                await db.call(queues.enqueue, job)
            else:
                await run_job(str(job.pk))
        except Exception as error:  # it could not be claimed: the sweeper brings it back
            logger.warning("job %s was not begun: %s", job.pk, error)


async def _is_suspended() -> bool:
    """Asked here and not by `take`, which runs on a database thread: a Redis that hangs must not hold those up."""
    try:
        return bool(await publish.redis_client().exists(suspension.WORKERS_SUSPENDED))
    except (RedisError, OSError):
        return True


async def _until_calm() -> None:
    """Wait until the event loop is in time, though not for long: the answers that keep it busy go first."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_SECONDS
    while (began := loop.time()) < until:
        await asyncio.sleep(LOOK_SECONDS)
        if loop.time() - began < LOOK_SECONDS + LAG_SECONDS:
            return
