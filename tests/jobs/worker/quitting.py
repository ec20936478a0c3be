"""A worker one of whose background tasks ends: `rqworker --worker-class tests.jobs.worker.quitting.Worker`."""

from __future__ import annotations

import asyncio

from jobs.worker.rq_worker import AsyncWorker


class Worker(AsyncWorker):
    """Its heartbeat ends once a job is in flight."""

    async def _keep_alive(self) -> None:
        while not self._runtime.leases.active():
            await asyncio.sleep(0.05)
        raise BaseException("the heartbeat cannot go on")
