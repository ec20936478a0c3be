"""A worker with a kind of job that kills it: `rqworker --worker-class tests.jobs.worker.poison.Worker`."""

import asyncio
import os
import signal

from jobs import kinds
from jobs.kinds import JobKind, Result, Run
from jobs.models import AiJob
from jobs.worker.rq_worker import AsyncWorker as Worker  # noqa: F401

KIND = "test.poison"


async def kill_the_worker(run: Run) -> Result:
    """Kill the worker; in the attempts named by the payload, only once another job runs beside it."""
    beside = 2 if run.job.attempt in run.job.payload["beside"] else 1
    while await run.db(AiJob.objects.filter(status="running").count) < beside:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it is dead")


POISON = JobKind(KIND, kill_the_worker)
kinds.register(POISON)
