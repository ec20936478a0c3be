"""One RQ job executed by the worker: within its time limit, and open to RQ's stop command."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import connections
from rq.job import Job, _current_job
from rq.timeouts import JobTimeoutException

from jobs.backends import entries
from jobs.worker.run import run_job
from jobs.worker.runtime import Runtime

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The job was stopped by a command (or cancelled itself)."""


class Exited(Exception):
    """The job asked for the end of the process, which belongs to other jobs too."""


class JobExecution:
    """Executes a coroutine function as a task of the event loop, any other function on a thread of its own.

    `runs_a_row`: the entry runs an AiJob, whose row says all that matters; its kind sets the time limit.
    Made on any thread; executed and stopped on the event loop.
    """

    def __init__(self, job: Job, default_timeout: float, runtime: Runtime) -> None:
        self.value: Any = None  # what it returned
        self.error: Exception | None = None  # or what it raised
        self.is_stopped = False
        self.runs_a_row = entries.runs_a_row(job)
        self._job = job
        self._runtime = runtime
        timeout = -1 if self.runs_a_row else job.timeout or default_timeout
        self._timeout = timeout if timeout > 0 else None  # RQ says -1 for no limit
        self._task: asyncio.Task[Any] | None = None

    async def execute(self) -> None:
        """Execute the job; note in `value` what it returns, or in `error` what it raises, a time-out, or Stopped."""
        try:
            self.value = await self._execute()
        except Exception as error:
            self.error = error

    async def _execute(self) -> Any:
        self._task = asyncio.create_task(self._call())
        if self.is_stopped:
            self._cancel_soon()
        _, unfinished = await asyncio.wait({self._task}, timeout=self._timeout)
        if unfinished:
            self._task.cancel()
            await asyncio.wait(unfinished)
            error = JobTimeoutException()
            # Set afterwards: RQ's TimerDeathPenalty puts its own last limit into every exception of this class.
            error.args = (f"Task exceeded maximum timeout value ({self._timeout} seconds)",)
            raise error
        if self._task.cancelled():
            raise Stopped
        return self._task.result()

    def stop(self) -> None:
        """Cancel a coroutine at the next point where it waits. A plain function cannot be stopped: that is logged."""
        if not self.runs_a_row and not inspect.iscoroutinefunction(self._job.func):
            logger.warning("job %s is a plain function, which cannot be stopped: it runs to its end", self._job.id)
        elif not self.is_stopped:
            self.is_stopped = True
            self._cancel_soon()

    def _cancel_soon(self) -> None:
        # After the task's first step: a coroutine cancelled before it could not even notice.
        if self._task:
            asyncio.get_running_loop().call_soon(self._task.cancel)

    async def _call(self) -> Any:
        _current_job.set(self._job)  # what rq.get_current_job() tells the job
        try:
            if self.runs_a_row:
                return await run_job(UUID(self._job.args[0]), self._runtime)
            function = self._job.func
            if inspect.iscoroutinefunction(function):
                return await function(*self._job.args, **self._job.kwargs)
            return await _on_thread(self._job.perform)
        except (SystemExit, KeyboardInterrupt) as error:
            raise Exited(repr(error)) from error


async def _on_thread(function: Callable[[], Any]) -> Any:
    """Run a function on a thread of its own. When its time is up the thread runs on, and its result is dropped."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def work() -> None:
        try:
            result = function()
        except BaseException as error:
            _set(future.set_exception, error)
        else:
            _set(future.set_result, result)
        finally:
            connections.close_all()  # this thread's: back to the pool

    threading.Thread(target=work, name="rq-job", daemon=True).start()
    return await asyncio.wrap_future(future)


def _set(outcome: Callable[[Any], None], value: Any) -> None:
    try:
        outcome(value)
    except concurrent.futures.InvalidStateError:  # the job's time is up, nobody waits for the result
        logger.warning("a plain function ended after its time limit")
