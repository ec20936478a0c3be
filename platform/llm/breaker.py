"""Circuit breakers, one for each model, shared by all workers through Redis.

The states and their transitions are purgatory's: closed; opened after THRESHOLD failures in a row; half-opened when
OPEN_SECONDS have passed. Two things are added here: while a breaker is not closed only one probe at a time is let
through, and staff can hold a breaker open or closed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal, NamedTuple, cast

from purgatory import AsyncAbstractUnitOfWork, AsyncCircuitBreakerFactory
from purgatory.domain.model import CLOSED, HALF_OPENED, OPENED, OpenedState
from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker
from purgatory.service._async.repository import AsyncRedisRepository
from redis import RedisError
from redis.asyncio import Redis

from llm.errors import Kind, LlmError

logger = logging.getLogger(__name__)

THRESHOLD = 8
OPEN_SECONDS = 10.0
WELL_SECONDS = 0.25  # for so long a process trusts what it has seen of a closed breaker without failures
PROBE_SECONDS = 30  # a probe that has not answered by then makes room for another
PREFIX = "breaker:"
CHANGES_KEPT = 20  # of each model

Hold = Literal["open", "closed"]
STATES = (CLOSED, OPENED, HALF_OPENED, "held open", "held closed")


class Change(NamedTuple):
    """A breaker's move to another state; `by` names the member of staff who wanted it, if anybody did."""

    at: datetime
    model: str
    state: str
    by: str


class _Contexts(AsyncRedisRepository):
    """purgatory's Redis storage, on a client of ours, bounded and quick to give up. Logs and keeps changes."""

    def __init__(self, redis: Redis) -> None:
        super().__init__("redis://")
        self.redis, self.prefix = redis, PREFIX

    async def update_state(self, name: str, state: str, opened_at: float | None) -> None:
        logger.warning("breaker of %s: %s", name, state)
        await super().update_state(name, state, opened_at)
        if state != HALF_OPENED:  # a probe is no news until it has an answer
            await _keep_change(self.redis, name, state)


class _Storage(AsyncAbstractUnitOfWork):
    """What purgatory reads and writes, each at once: there is nothing to commit."""

    def __init__(self, redis: Redis) -> None:
        self.contexts = _Contexts(redis)

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


class Breakers:
    """The breakers as one process sees them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._factory = AsyncCircuitBreakerFactory(THRESHOLD, OPEN_SECONDS, uow=_Storage(redis))
        self._well_until: dict[str, float] = {}

    @asynccontextmanager
    async def guard(self, model: str) -> AsyncIterator[None]:
        """Around one call. LlmError PAUSED when it may not be made; a passing failure counts against the model."""
        is_well = time.monotonic() < self._well_until.get(model, 0.0)
        breaker = None if is_well else await self._enter_first(model)
        try:
            yield
        except LlmError as error:
            if error.kind is Kind.TRANSIENT:
                self._well_until.pop(model, None)
                breaker = breaker or (await self._look(model) if is_well else None)
            await self._leave(breaker, error if error.kind is Kind.TRANSIENT else None)
            raise
        await self._leave(breaker, None)

    async def hold(self, model: str, state: Hold | None, by: str = "staff") -> None:
        """Keep the model's breaker open or closed whatever happens; None lets it work by itself again."""
        self._well_until.pop(model, None)
        key = f"{PREFIX}{model}:hold"
        await (self._redis.set(key, state) if state else self._redis.delete(key))
        change = f"held {state}" if state else "works by itself again"
        await _keep_change(self._redis, model, change, by)
        logger.warning("breaker of %s: %s, by %s", model, change, by)

    async def _enter_first(self, model: str) -> AsyncCircuitBreaker | None:
        """Enter as the one call that finds out whether those that follow need not ask."""
        if model in self._well_until:  # hundreds need not find out at once: meanwhile the others go on as before
            self._trust(model)
        try:
            breaker = await self._enter(model)
        except LlmError:
            self._well_until.pop(model, None)
            raise
        if breaker and breaker.context.state == CLOSED and not breaker.context.failure_count:
            self._trust(model)
        else:
            self._well_until.pop(model, None)
        return breaker

    def _trust(self, model: str) -> None:
        self._well_until[model] = time.monotonic() + WELL_SECONDS

    async def _enter(self, model: str) -> AsyncCircuitBreaker | None:
        """The breaker that lets this call through; None if none is asked. LlmError PAUSED if it does not."""
        breaker = await self._look(model)
        if breaker is None:
            return None
        try:
            breaker.context.handle_new_request()
            if breaker.context.state != CLOSED and not await self._may_probe(model):
                raise _paused(model, OPEN_SECONDS / 2)
        except OpenedState as opened:
            raise _paused(model, OPEN_SECONDS) from opened
        except (RedisError, OSError) as error:
            _note_absence(error)
            return None
        return breaker

    async def _look(self, model: str) -> AsyncCircuitBreaker | None:
        """The model's breaker as Redis has it now; None if none is asked. LlmError PAUSED when staff hold it open."""
        try:
            held = await self._redis.get(f"{PREFIX}{model}:hold")
            if held == "open":
                raise _paused(model, OPEN_SECONDS)
            return None if held == "closed" else await self._factory.get_breaker(model)
        except (RedisError, OSError) as error:
            _note_absence(error)
            return None

    async def _leave(self, breaker: AsyncCircuitBreaker | None, error: LlmError | None) -> None:
        if breaker is None:
            return
        was_probe = breaker.context.state != CLOSED
        try:
            await breaker.__aexit__(type(error) if error else None, error, None)
            if was_probe:
                await self._redis.delete(f"{PREFIX}{breaker.context.name}:probe")
        except (RedisError, OSError) as trouble:
            logger.warning("the circuit breaker was not told: %s", type(trouble).__name__)

    async def _may_probe(self, model: str) -> bool:
        return bool(await self._redis.set(f"{PREFIX}{model}:probe", "1", nx=True, ex=PROBE_SECONDS))


async def state_of(redis: Redis, model: str) -> str:
    """The state of a model's breaker, one of STATES."""
    held = cast("str | None", await redis.get(f"{PREFIX}{model}:hold"))
    context = await _Storage(redis).contexts.get(model)
    return f"held {held}" if held else str(context.state if context else CLOSED)


async def changes(redis: Redis, model: str) -> list[Change]:
    """The breaker's newest changes of state, the newest first."""
    kept = await cast("Awaitable[list[str]]", redis.lrange(_changes_key(model), 0, -1))
    return [Change(datetime.fromtimestamp(at, UTC), model, state, by) for at, state, by in map(json.loads, kept)]


async def _keep_change(redis: Redis, model: str, state: str, by: str = "") -> None:
    newest = await cast("Awaitable[str | None]", redis.lindex(_changes_key(model), 0))
    if newest and json.loads(newest)[1:] == [state, by]:
        return  # a probe has failed, or calls of other workers have found out at the same time
    async with redis.pipeline() as pipeline:
        pipeline.lpush(_changes_key(model), json.dumps([time.time(), state, by]))
        pipeline.ltrim(_changes_key(model), 0, CHANGES_KEPT - 1)
        await pipeline.execute()


def _changes_key(model: str) -> str:
    return f"{PREFIX}{model}:changes"


def _note_absence(trouble: Exception) -> None:
    logger.warning("no circuit breaker, Redis is away: %s", type(trouble).__name__)


async def is_blocking(redis: Redis, model: str) -> bool:
    """Whether calls to the model are being held back, or would be but for a probe."""
    return await state_of(redis, model) not in (CLOSED, "held closed")


def _paused(model: str, seconds: float) -> LlmError:
    return LlmError(Kind.PAUSED, f"the circuit breaker of {model} is open", seconds)
