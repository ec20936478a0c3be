"""Retries of short failures within one call. The only module that imports the `backoff` package."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

import backoff

from llm.errors import ErrorKind, LlmError

T = TypeVar("T")

TRIES = 3
LONGEST_WAIT = 4.0  # seconds; for a longer wait the job releases its slot instead


async def once_more(kind: ErrorKind, ask: Callable[[], Awaitable[T]]) -> T:
    """Retry once after a failure of this kind. Raises LlmError."""
    try:
        return await ask()
    except LlmError as error:
        if error.kind is not kind:
            raise
    return await ask()


async def until(errors: tuple[type[Exception], ...], max_time: float, attempt: Callable[[], Awaitable[T]]) -> T:
    """Retry `attempt` while it raises one of `errors`, for up to `max_time` seconds. Raises the last error."""

    @backoff.on_exception(backoff.expo, errors, max_time=max_time, max_value=2, factor=0.1, logger=None)
    async def retried() -> T:
        return await attempt()

    return await retried()


def _waits() -> Generator[float, Any, None]:
    """Yield the wait after each error: what the upstream asks for, otherwise exponential backoff with full jitter."""
    error = yield 0.0  # the first send of `backoff` only starts the generator
    ceiling = 0.5
    while True:
        error = yield error.retry_after or random.uniform(0, ceiling)
        ceiling = min(ceiling * 2, LONGEST_WAIT)


def _is_not_worth_waiting(error: Exception) -> bool:
    if not isinstance(error, LlmError):
        return False
    if error.kind in (ErrorKind.PAUSED, ErrorKind.GARBLED):  # GARBLED was probably paid: the job counts its tries
        return True
    return not error.passing or (error.retry_after or 0) > LONGEST_WAIT


@backoff.on_exception(_waits, LlmError, max_tries=TRIES, giveup=_is_not_worth_waiting, jitter=None, logger=None)
async def in_call(attempt: Callable[[], Awaitable[T]]) -> T:
    """Run one upstream attempt; retry it after short transient failures. Raises the last LlmError."""
    return await attempt()
