"""One RQ job at work on the worker's event loop: within its time limit, and open to RQ's stop commands."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import inspect
import threading
from collections.abc import Callable
from typing import Any

from django.db import connections
from rq.job import Job, _current_job
from rq.timeouts import JobTimeoutException


class Stopped(Exception):
    """The job was stopped by a command (or cancelled itself)."""


class Exited(Exception):
    """The job called for the end of the process, which belongs to other jobs too."""


class Performance:
    """A coroutine function runs as a task of the event loop, any other function on a thread of its own.

    To be made anywhere; run and stopped on the event loop.
    """

    def __init__(self, job: Job, timeout: float) -> None:
        self.is_stopped = False
        self._job = job
        self._timeout = timeout if timeout > 0 else None  # RQ says -1 for no limit
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> Any:
        """What the job returns. Raises what it raises, JobTimeoutException, or Stopped."""
        self._task = asyncio.create_task(self._call())
        if self.is_stopped:
            self._cancel_soon()
        _, unfinished = await asyncio.wait({self._task}, timeout=self._timeout)
        if unfinished:
            self._task.cancel()
            await asyncio.wait(unfinished)
            raise _time_is_up(self._timeout)
        if self._task.cancelled():
            raise Stopped
        return self._task.result()

    def stop(self) -> None:
        """End the job: it is cancelled at the next point where it waits."""
        if not self.is_stopped:
            self.is_stopped = True
            self._cancel_soon()

    def _cancel_soon(self) -> None:
        # The task's first step goes first: a coroutine cancelled before it could not even notice.
        if self._task:
            asyncio.get_running_loop().call_soon(self._task.cancel)

    async def _call(self) -> Any:
        _current_job.set(self._job)  # what rq.get_current_job() tells the job
        try:
            function = self._job.func
            if inspect.iscoroutinefunction(function):
                return await function(*self._job.args, **self._job.kwargs)
            return await _on_thread(self._job.perform)
        except (SystemExit, KeyboardInterrupt) as error:
            raise Exited(repr(error)) from error


def _time_is_up(timeout: float | None) -> JobTimeoutException:
    error = JobTimeoutException()
    # Set afterwards: RQ's TimerDeathPenalty puts its own last limit into every exception of this class.
    error.args = (f"Task exceeded maximum timeout value ({timeout} seconds)",)
    return error


async def _on_thread(function: Callable[[], Any]) -> Any:
    """Run a function on a thread of its own. On cancellation it gets a SystemExit at its next step in Python.

    One that hangs outside Python is left to itself until then: such a thread must not be missing from a pool.
    """
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    thread = threading.Thread(target=_fulfil, args=(future, function), name="rq-job", daemon=True)
    future.set_running_or_notify_cancel()
    thread.start()
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
        raise


def _fulfil(future: concurrent.futures.Future[Any], function: Callable[[], Any]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
    finally:
        connections.close_all()  # this thread's: back to the pool
