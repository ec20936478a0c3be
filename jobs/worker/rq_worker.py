"""`AsyncWorker`: an RQ worker that runs many coroutine jobs on one event loop.

A stock RQ worker forks for each job: one answer at a time in a process. An AI answer mostly waits for the network, so
this worker pops on the main thread, as RQ does, and hands each job to an event loop thread; RQ's bookkeeping
(registries, results) runs on threads beside it. It stays close in name and behaviour to RQ's planned AsyncWorker
(rq/rq#2445), to be replaced by it one day.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

from django.conf import settings
from redis import RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout
from rq.callbacks import execute_stopped_callback
from rq.command import handle_command, parse_payload
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.timeouts import TimerDeathPenalty
from rq.utils import now
from rq.worker.base import DequeueStrategy, WorkerStatus

from config import scrub
from jobs.worker.bookkeeping import BookkeepingWorker
from jobs.worker.execution import JobExecution
from jobs.worker.local_dispatch import LocalDispatch
from jobs.worker.loop_thread import LoopThread
from jobs.worker.runtime import Runtime
from jobs.worker.slots import Slots
from jobs.worker.sweeper import Sweeper
from jobs.worker.throttle import Throttle

BOOKKEEPING_THREADS, RELEASE_SECONDS = 4, 5.0
SHORT_POP_SECONDS = 1  # of one blocking pop while some queues are closed


class AsyncWorker(BookkeepingWorker):
    """Runs up to JOBS_PER_WORKER jobs at once. Acquires a slot before popping a job, to keep queue order."""

    death_penalty_class = TimerDeathPenalty  # SIGALRM belongs to the main thread alone
    max_connection_wait_time = 2.0
    log_result_lifespan = False
    dequeue_timeout = 10  # seconds of one blocking pop: a Redis that hangs is noticed soon after

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("log_job_description", False)  # arguments of entries do not belong in the log
        super().__init__(*args, **kwargs)
        self._slots = Slots(settings.JOBS_PER_WORKER, self.queue_names())
        self._running: dict[str, JobExecution] = {}  # by RQ's execution id
        self._bookkeeping = ThreadPoolExecutor(BOOKKEEPING_THREADS, thread_name_prefix="rq")
        self._runtime = Runtime()
        sweeper = Sweeper(self._runtime.db, self._runtime.upstream, self._runtime.faults)
        self._loop = LoopThread(sweeper.run, sweeper.keep_house, self._keep_alive, at_end=self._runtime.close)
        self._throttle = Throttle(self._loop, self._runtime.upstream)
        self._is_waiting = self._is_finite = False
        self._hand_back_at = math.inf
        self._hurry = threading.Event()
        self._stopping = threading.Lock()

    def work(self, burst: bool = False, **kwargs: Any) -> bool:  # type: ignore[override]
        """RQ's work loop on this thread, the jobs' event loop on another. SystemExit if a background task has ended."""
        self._is_finite = burst or kwargs.get("max_jobs") is not None
        try:
            has_worked = super().work(burst, **kwargs)
        finally:
            self._loop.stop(timeout=RELEASE_SECONDS)
        if self._loop.has_failed:
            raise SystemExit(1)
        return has_worked

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a free slot and an event loop that is not late, then for a job."""
        self._is_waiting = True
        try:
            while not self._slots.acquire(timeout=self.job_monitoring_interval):
                self.heartbeat()
            self._throttle.wait(self._slots.in_flight)
            result = self._next_job(timeout, max_idle_time)
        finally:
            self._is_waiting = False
        if result is None:
            self._slots.release()
        return result

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Hand the job to the event loop and return. If Redis fails here, the worker ends; a sweeper finds the job."""
        execution = self.prepare_execution(job)
        running = JobExecution(job, self.queue_class.DEFAULT_TIMEOUT, self._runtime)
        self._running[execution.id] = running
        if running.runs_a_row:
            self.hold_entry(job, queue)
        else:
            self._prepare(job)
        self._slots.fill(self._loop.submit(self._execute(running, job, queue, execution)), queue.name)

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Busy while anything is in flight, also while waiting for more."""
        super().set_state(WorkerStatus.BUSY if state == WorkerStatus.IDLE and self.executions else state, pipeline)

    def handle_payload(self, message: Any) -> None:
        """Carry out a command. RQ itself would look for the job to stop in the first execution only.

        One that cannot be read is ignored: RQ's thread that listens to commands would end.
        """
        try:
            payload = parse_payload(message)
            if payload["command"] == "stop-job":
                for execution in list(self.executions.values()):
                    if execution.job_id == payload["job_id"]:
                        self.request_stop_execution(execution.id)
            else:
                handle_command(self, payload)
        except Exception as error:
            self.log.warning("Worker %s: a command is ignored: %s", self.name, type(error).__name__)

    def request_stop_execution(self, execution_id: str) -> None:
        """Stop one of the jobs in flight. Called from the thread that listens to commands."""
        if running := self._running.get(execution_id):
            self._loop.call(running.stop)
        else:
            self.log.warning("Worker %s: not running execution %s, command ignored", self.name, execution_id)

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """On a second signal, hand unfinished jobs back now instead of after the grace time."""
        self._hurry.set()

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Record the failure in Redis, where django-rq's pages show it, without the values that its text quotes."""
        super().handle_job_failure(job, queue, started_job_registry, scrub.scrubbed(exc_string), execution)

    def teardown(self) -> None:
        """Let the jobs in flight end or hand them back, then sign off."""
        self._drain()
        self.stay_unregistered()
        try:
            super().teardown()
        except RedisError as error:
            self.log.warning("Worker %s: could not sign off: %s", self.name, error)
        self._bookkeeping.shutdown(wait=False)

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()
        # After RQ has forked its scheduler, which must not inherit our threads and connections.
        if not self._is_finite:
            self._runtime.dispatch = LocalDispatch(self, self._slots, self._loop, self._runtime).take
        self._loop.start()

    def _shutdown(self) -> None:
        self._stop_requested = True
        self._hand_back_at = time.monotonic() + settings.JOBS_GRACE_SECONDS
        if self._is_waiting:
            raise StopRequested  # out of the blocking pop

    def _next_job(self, timeout: int | None, max_idle_time: int | None) -> tuple[Job, Queue] | None:
        """Pop a job. None when the worker is done, which it is not while jobs in flight may enqueue others."""
        is_burst = timeout is None
        while True:
            is_open = self._choose_queues()
            try:
                result = super().dequeue_job_and_maintain_ttl(timeout, max_idle_time if is_open else SHORT_POP_SECONDS)
            except (RedisConnectionError, RedisTimeout, StopRequested):
                raise
            except Exception as error:
                self.drop_unreadable(error)
                continue
            if result and not self._put_back_if_suspended(*result, is_burst) and self.accepts(*result):
                return result
            if not result and is_open and self._slots.is_idle_for(0 if is_burst else max_idle_time or 0):
                return None
            if is_burst:
                self._slots.wait(0.2)

    def _choose_queues(self) -> bool:
        """Choose the queues to pop from next, and their order. True if these are all of them."""
        if self._dequeue_strategy != DequeueStrategy.DEFAULT:
            return True  # somebody wants another order than ours
        by_name = {queue.name: queue for queue in self.queues}
        self._ordered_queues = [by_name[name] for name in self._slots.queues_in_turn()]
        return len(self._ordered_queues) == len(self.queues)

    def _put_back_if_suspended(self, job: Job, queue: Queue, is_burst: bool) -> bool:
        """Put the job back if workers are suspended: RQ checks before it waits for a job, not after it popped one."""
        if not self.is_suspended():
            return False
        queue.push_job_id(job.id, at_front=True)
        queue.intermediate_queue.remove(job.id)
        self.check_for_suspension(is_burst)
        return True

    def _prepare(self, job: Job) -> None:
        try:
            self.prepare_job_execution(job, remove_from_intermediate_queue=len(self._ordered_queues) == 1)
            _ = job.func  # imported here rather than on the event loop
        except RedisError:
            raise
        except Exception as error:  # raised again when the job is executed, and recorded then
            self.log.warning("Worker %s: job %s cannot be read: %s", self.name, job.id, error)
        job.started_at = now()

    def _drain(self) -> None:
        if not self._is_finite:
            self._hand_back_at = min(self._hand_back_at, time.monotonic() + settings.JOBS_GRACE_SECONDS)
        while self._slots.in_flight and not self._hurry.is_set() and time.monotonic() < self._hand_back_at:
            self._slots.wait(0.1)
        if self._slots.in_flight:
            self.log.info("Worker %s: handing back %d unfinished jobs", self.name, self._slots.in_flight)
            self._loop.call(self._runtime.leases.hand_back)
            self._slots.wait(RELEASE_SECONDS)

    async def _execute(self, running: JobExecution, job: Job, queue: Queue, execution: Execution) -> None:
        try:
            await running.execute()
            await self._on_thread(self._finalize, running, job, queue, execution)
        finally:
            del self._running[execution.id]
            self.executions.pop(execution.id, None)
            if not self.executions:
                await self._on_thread(self._set_idle)

    def _finalize(self, running: JobExecution, job: Job, queue: Queue, execution: Execution) -> None:
        if running.runs_a_row:
            return self.release_entry(job, execution, running.error, running.is_stopped)
        error = running.error
        if error is None and self.holds(job):
            try:
                return self._finalize_success(job, queue, execution, running.value)
            except RedisError:
                raise
            except Exception as raised:  # by its callback, for instance
                error = raised
        if error is None or not self.holds(job):  # it vanished from Redis, for instance by FLUSHALL: it is done
            return self.forget_execution(job, execution)
        finalize = self._finalize_stopped if running.is_stopped else self._finalize_failure
        finalize(job, queue, execution, (type(error), error, error.__traceback__))

    def _finalize_stopped(self, job: Job, queue: Queue, execution: Execution, exc_info: Any) -> None:
        self.log.warning("Worker %s: job %s stopped by user", self.name, job.id)
        self.handle_execution_ended(job, queue, job.stopped_callback_timeout)
        with contextlib.suppress(Exception):  # RQ has logged it
            execute_stopped_callback(job, self.death_penalty_class)
        with self._stopping:  # RQ has room for one stopped job at a time
            self._stopped_job_id = job.id
            self.handle_job_failure(job, queue, exc_string="Job stopped by user.", execution=execution)

    def _set_idle(self) -> None:
        if self.get_state() == WorkerStatus.BUSY:
            self.set_state(WorkerStatus.IDLE)

    async def _on_thread(self, bookkeeping: Callable[..., None], *args: Any) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._bookkeeping, bookkeeping, *args)
        except RedisError as error:
            self.log.warning("Worker %s: Redis did not take the bookkeeping: %s", self.name, error)

    async def _keep_alive(self) -> None:
        while True:  # RQ regards executions without a heartbeat as abandoned after a minute and a half
            await asyncio.sleep(self.job_monitoring_interval)
            try:
                await self._on_thread(self.ensure_registered)
                for execution in list(self.executions.values()):
                    await self._on_thread(self._beat, execution)
            except Exception as error:
                self._runtime.faults.note("keep alive", error)

    def _beat(self, execution: Execution) -> None:
        if job := execution._job:
            self.beat(job, execution)
