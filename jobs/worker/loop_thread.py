"""The thread that runs a worker's event loop, and how late the loop is."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from jobs.backends.cancellation import end

logger = logging.getLogger(__name__)

POSTPONE_SECONDS = 0.25  # before work that can wait asks again whether the loop is late
LATE_SECONDS = 0.005  # an answer takes about thirty turns of the loop, so this much in each adds 0.15 s to it


class LoopThread(threading.Thread):
    """Runs an event loop on a thread of its own: the background tasks until `stop`, then `at_end`."""

    def __init__(
        self, *background: Callable[[], Coroutine[Any, Any, None]], at_end: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        super().__init__(name="jobs-loop", daemon=True)
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self.has_failed = False  # a background task has ended, which none should: the process has to be replaced
        self._background = background
        self._at_end = at_end

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        tasks = [self.loop.create_task(work()) for work in self._background]
        for task in tasks:
            task.add_done_callback(self._end_process)
        self.loop.run_forever()
        for task in tasks:
            task.remove_done_callback(self._end_process)
        for task in tasks:
            self.loop.run_until_complete(end(task))
        self.loop.run_until_complete(self._at_end())

    def _end_process(self, task: asyncio.Task[None]) -> None:
        """Have the process hand its jobs back and end, for its supervisor to start another one."""
        self.has_failed = True
        error = None if task.cancelled() else task.exception()
        logger.critical("a background task of the worker has ended, so the worker ends", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)

    def is_late(self) -> bool:
        """Whether callbacks of the loop run more than LATE_SECONDS after they are due. From other threads."""
        probe = self.submit(asyncio.sleep(0))
        return not concurrent.futures.wait({probe}, LATE_SECONDS).done

    async def wait_until_on_time(self, timeout: float) -> None:
        """Wait while the loop is late, up to `timeout` seconds. On the loop."""
        until = time.monotonic() + timeout
        await asyncio.sleep(POSTPONE_SECONDS)
        while time.monotonic() < until:
            began = time.monotonic()
            await asyncio.sleep(0)  # until the end of this turn
            await asyncio.sleep(0)  # and a complete one
            if time.monotonic() - began <= LATE_SECONDS:
                return
            await asyncio.sleep(POSTPONE_SECONDS)

    def submit(self, work: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
        """Run a coroutine on the loop. From any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the loop, soon. From any thread."""
        self.loop.call_soon_threadsafe(function, *args)

    def stop(self, timeout: float) -> None:
        """End the loop, if it was ever started, and wait up to `timeout` seconds until it has ended."""
        if self.is_alive():
            self.call(self.loop.stop)
            self.join(timeout)
