"""`AsyncWorker`: an RQ worker that holds many coroutine jobs on one event loop.

Stock RQ forks for each job and waits for it: one answer at a time in a process. AI answers are waiting, not
computing, so this worker pops on the main thread, as RQ does, and hands each job to an event loop thread. RQ's own
bookkeeping (registries, heartbeats, results) runs on threads beside it. Kept close to RQ's planned AsyncWorker
(rq/rq#2445) in name and behaviour, to be replaced by it one day.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from django.conf import settings
from redis import RedisError
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.timeouts import TimerDeathPenalty
from rq.utils import now
from rq.worker import BaseWorker
from rq.worker.base import WorkerStatus

from jobs import recovery, watch

BOOKKEEPING_THREADS = 4
RELEASE_SECONDS = 5.0
ALIVE_SECONDS = 90


class AsyncWorker(BaseWorker):
    """Runs up to JOBS_PER_WORKER jobs at once. A slot is taken before a job is popped, so queue order holds."""

    death_penalty_class = TimerDeathPenalty  # SIGALRM belongs to the main thread alone
    max_connection_wait_time = 2.0
    log_result_lifespan = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slots = threading.Semaphore(settings.JOBS_PER_WORKER)
        self._in_flight: set[concurrent.futures.Future[None]] = set()
        self._bookkeeping = concurrent.futures.ThreadPoolExecutor(BOOKKEEPING_THREADS, thread_name_prefix="rq")
        self._loop = asyncio.new_event_loop()
        self._is_waiting = False
        self._is_finite = False
        self._hurry = threading.Event()
        self._is_signing_off = False

    def work(self, burst: bool = False, **kwargs: Any) -> bool:  # type: ignore[override]
        """RQ's work loop on this thread, the jobs' event loop on another."""
        self._is_finite = burst or kwargs.get("max_jobs") is not None
        thread = threading.Thread(target=self._run_loop, name="jobs-loop", daemon=True)
        thread.start()
        try:
            return super().work(burst, **kwargs)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(timeout=RELEASE_SECONDS)

    @property
    def dequeue_timeout(self) -> int:
        """Seconds of one blocking pop: a Redis that hangs is noticed soon after."""
        return 10

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a free slot, then for a job."""
        self._is_waiting = True
        try:
            self._take_slot()
            result = super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
        finally:
            self._is_waiting = False
        if result is None:
            self._slots.release()
        return result

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Hand the job to the event loop and return. A Redis failure here leaves the job to the sweeper."""
        try:
            execution = self.prepare_execution(job)
            self.prepare_job_execution(job, remove_from_intermediate_queue=len(self.queues) == 1)
        except RedisError:
            self._slots.release()
            raise
        job.started_at = now()
        future = asyncio.run_coroutine_threadsafe(self._perform(job, queue, execution), self._loop)
        self._in_flight.add(future)
        future.add_done_callback(self._finished)

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Busy as long as anything is in flight, also while waiting for more."""
        super().set_state(WorkerStatus.BUSY if state == WorkerStatus.IDLE and self._in_flight else state, pipeline)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Stay registered for a short while only: the event loop sends the next one, as long as it turns."""
        super().heartbeat(timeout or ALIVE_SECONDS, pipeline)

    def ensure_registered(self) -> None:
        """Register again after Redis was emptied: `rq info` and /readyz must go on to see this worker."""
        if self._is_signing_off:
            return
        if not self.connection.sismember(self.redis_workers_keys, self.key):
            self.connection.delete(self.key)
            self.register_birth()
            self.set_state(WorkerStatus.IDLE)
        self.heartbeat()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """A second signal: hand unfinished jobs back now instead of after the grace time."""
        self._hurry.set()

    def teardown(self) -> None:
        """Let the jobs in flight end, hand back what does not end in time, then sign off."""
        self._drain()
        self._is_signing_off = True
        try:
            super().teardown()
        except RedisError as error:
            self.log.warning("Worker %s: could not sign off: %s", self.name, error)
        self._bookkeeping.shutdown(wait=False)

    def _shutdown(self) -> None:
        self._stop_requested = True
        if self._is_waiting:
            raise StopRequested  # out of the blocking pop

    def _take_slot(self) -> None:
        while not self._slots.acquire(timeout=self.job_monitoring_interval):
            self.heartbeat()

    def _drain(self) -> None:
        grace = None if self._is_finite and not self._stop_requested else settings.JOBS_GRACE_SECONDS
        waiter = threading.Thread(target=self._wait_for_jobs, args=(grace,), daemon=True)
        waiter.start()
        while waiter.is_alive() and not self._hurry.is_set():
            waiter.join(timeout=0.1)
        if self._in_flight:
            self.log.info("Worker %s: handing back %d unfinished jobs", self.name, len(self._in_flight))
            self._loop.call_soon_threadsafe(self._release_runs)
            self._wait_for_jobs(RELEASE_SECONDS)

    def _wait_for_jobs(self, timeout: float | None) -> None:
        concurrent.futures.wait(set(self._in_flight), timeout=timeout)

    def _release_runs(self) -> None:
        for run in watch.active_runs(self._loop):
            run.interrupt("released")

    def _finished(self, future: concurrent.futures.Future[None]) -> None:
        self._in_flight.discard(future)
        self._slots.release()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        tasks = [self._loop.create_task(recovery.sweep_forever()), self._loop.create_task(self._keep_alive())]
        self._loop.run_forever()
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    async def _perform(self, job: Job, queue: Queue, execution: Execution) -> None:
        try:
            value = await asyncio.wait_for(self._call(job), job.timeout or self.queue_class.DEFAULT_TIMEOUT)
        except Exception:
            await self._keep_books(self._finalize_failure, job, queue, execution, sys.exc_info())
        else:
            await self._keep_books(self._finalize_success, job, queue, execution, value)

    async def _call(self, job: Job) -> Any:
        if inspect.iscoroutinefunction(job.func):
            return await job.func(*job.args, **job.kwargs)
        return await asyncio.to_thread(job.perform)

    async def _keep_books(self, finalize: Callable[..., None], *args: Any) -> None:
        try:
            await self._loop.run_in_executor(self._bookkeeping, finalize, *args)
        except RedisError as error:
            self.log.warning("Worker %s: Redis could not be told: %s", self.name, error)

    async def _keep_alive(self) -> None:
        """RQ takes executions without a heartbeat for abandoned after a minute and a half."""
        while True:
            await asyncio.sleep(self.job_monitoring_interval)
            await self._keep_books(self.ensure_registered)
            for execution in list(self.executions.values()):
                await self._keep_books(self._beat, execution)

    def _beat(self, execution: Execution) -> None:
        job = execution._job or self.job_class.fetch(execution.job_id, self.connection, self.serializer)
        self.maintain_heartbeats(job, execution)
