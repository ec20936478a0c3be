"""One RQ job executed by the worker: within its time limit, and open to RQ's stop command."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any

from django.db import connections
from rq.job import Job, _current_job
from rq.timeouts import JobTimeoutException

from jobs.backends.queues import RUN_JOB_NAMES
from jobs.worker.runtime import Runtime

logger = logging.getLogger(__name__)


class Stopped(Exception):
    """The job was stopped by a command (or cancelled itself)."""


class Exited(Exception):
    """The job asked for the end of the process, which belongs to other jobs too."""


class JobExecution:
    """Executes a coroutine function as a task of the event loop, any other function on a thread of its own.

    Made on any thread; executed and stopped on the event loop.
    """

    def __init__(self, job: Job, timeout: float, runtime: Runtime) -> None:
        self.is_stopped = False
        self._job = job
        self._runtime = runtime
        self._timeout = timeout if timeout > 0 else None  # RQ says -1 for no limit
        self._task: asyncio.Task[Any] | None = None

    async def execute(self) -> Any:
        """What the job returns. Raises what it raises, JobTimeoutException, or Stopped."""
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
        if not inspect.iscoroutinefunction(self._job.func):
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
            function, kwargs = self._job.func, self._job.kwargs
            if self._job.func_name in RUN_JOB_NAMES:
                kwargs = {**kwargs, "runtime": self._runtime}
            if inspect.iscoroutinefunction(function):
                return await function(*self._job.args, **kwargs)
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
