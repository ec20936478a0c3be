"""Calls through a circuit breaker, for its tests."""

import asyncio
import contextlib

import pytest

from llm import breaker
from llm.breaker import THRESHOLD
from llm.errors import ErrorKind, LlmError

DOWN = LlmError(ErrorKind.TRANSIENT, "down")


async def call(breakers, model, error=None):
    """One call through the breaker: whether it was let through."""
    try:
        async with breakers.guard(model):
            if error:
                raise error
    except LlmError as raised:
        return raised.kind is not ErrorKind.PAUSED
    return True


async def fail(breakers, model, times=THRESHOLD):
    for _ in range(times):
        await call(breakers, model, DOWN)


async def states(redis, model):
    return [change.state for change in await breaker.changes(redis, model)]


class Running:
    """A call that was let through and has not ended yet."""

    def __init__(self, breakers, model):
        self._outcome = asyncio.get_running_loop().create_future()
        self._entered = asyncio.Event()
        self.task = asyncio.create_task(self._run(breakers, model))

    async def _run(self, breakers, model):
        async with breakers.guard(model):
            self._entered.set()
            await self._outcome

    async def entered(self):
        async with asyncio.timeout(5):
            await self._entered.wait()
        return self

    async def end(self, error=None):
        self._outcome.set_exception(error) if error else self._outcome.set_result(None)
        with contextlib.suppress(LlmError):
            await self.task

    async def cancel(self):
        self.task.cancel()
        await self.cancelled()

    async def cancelled(self):
        with pytest.raises(asyncio.CancelledError):
            await self.task
