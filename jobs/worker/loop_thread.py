"""The thread that turns a worker's event loop, and how a task on it is ended."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

CANCEL_SECONDS = 0.5


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; what it raises stays with it.

    Again and again if need be: before Python 3.12 asyncio.wait_for, and with it each command of the Redis client, can
    swallow a cancellation that comes at the wrong moment.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_SECONDS)


class LoopThread(threading.Thread):
    """An event loop with tasks that run beside everything else for as long as it turns, and what is done at its end."""

    def __init__(
        self, *background: Callable[[], Coroutine[Any, Any, None]], at_end: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        super().__init__(name="jobs-loop", daemon=True)
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._background = background
        self._at_end = at_end

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        tasks = [self.loop.create_task(work()) for work in self._background]
        self.loop.run_forever()
        for task in tasks:
            self.loop.run_until_complete(end(task))
        self.loop.run_until_complete(self._at_end())

    def submit(self, work: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
        """Have this done on the loop. From any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Have this called on the loop, soon. From any thread."""
        self.loop.call_soon_threadsafe(function, *args)

    def stop(self, timeout: float) -> None:
        """End the loop, if it was ever started, and wait for so long until it has ended."""
        if self.is_alive():
            self.call(self.loop.stop)
            self.join(timeout)
