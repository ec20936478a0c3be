"""What RQ calls. The name `jobs.tasks.run_job` stands in Redis: renaming it takes two releases."""

from __future__ import annotations

from uuid import UUID

from jobs.worker import run
from jobs.worker.runtime import Runtime


async def run_job(job_id: str, runtime: Runtime | None = None) -> None:
    """Do the job, if it is still to be done. The id is all that its queue entry holds.

    AsyncWorker hands its runtime in; under any other RQ worker the job has one of its own.
    """
    if runtime is not None:
        return await run.run_job(UUID(job_id), runtime)
    runtime = Runtime()
    try:
        await run.run_job(UUID(job_id), runtime)
    finally:
        await runtime.close()
