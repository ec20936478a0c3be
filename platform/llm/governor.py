"""The rate governor: who may call the upstream now. Shared by all workers through one atomic Redis script.

The scarce thing is the upstream's rate, in requests and tokens a minute for each model. It goes out by priority,
and fairly between people within a priority (governor.lua says how). Each process asks for all its waiting calls at
once, so that hundreds of them cost one script call every few milliseconds, and none while nobody waits.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import os
import time
import uuid
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import RedisError
from redis.asyncio import Redis

logger = logging.getLogger(__name__)

SCRIPT = (Path(__file__).parent / "governor.lua").read_text()
# KEYS: the bucket. ARGV: seconds to stay closed, and the factor of the rate to begin again with ("" as it is).
CLOSE = """
local clock = redis.call('TIME')
local wanted = clock[1] + clock[2] / 1e6 + ARGV[1]
if wanted > tonumber(redis.call('HGET', KEYS[1], 'closed_until') or '0') then
    redis.call('HSET', KEYS[1], 'closed_until', wanted)
end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'factor', ARGV[2]) end
"""
ALIVE_MS = 5000
SHORTEST_WAIT, LONGEST_WAIT = 0.005, 0.25  # seconds between two looks while calls wait
AGAIN_SECONDS = 2.0  # after which Redis is told of all waiting calls again


@dataclass(frozen=True)
class Caller:
    """On whose behalf a call is made: its priority (0 first, at most 2) and the person it is fair to."""

    priority: int = 0
    flow: str = "system"


@dataclass(frozen=True)
class Limits:
    """The upstream's limits a minute, as long as its headers have not told better."""

    requests: int = 500
    tokens: int = 200_000


@dataclass
class _Ticket:
    caller: Caller
    tokens: int
    granted: asyncio.Future[None]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class Governor:
    """The governor as one process sees it."""

    def __init__(self, redis: Redis, limits: Limits = Limits()) -> None:
        self._redis = redis
        self._limits = limits
        self._models: dict[str, _Model] = {}

    async def permit(self, model: str, caller: Caller, tokens: int) -> float:
        """Wait until a call of about so many tokens may be made; returns the seconds waited.

        Without Redis there is no wait: the upstream's own refusals have to do then.
        """
        began = time.perf_counter()
        await self._model(model).permit(caller, max(1, tokens))
        return time.perf_counter() - began

    def correct(self, model: str, estimated: int, used: int) -> None:
        """Settle the difference between the estimate and the reported usage."""
        self._model(model).give_back(0, estimated - used)

    async def learn(self, model: str, headers: Mapping[str, str]) -> None:
        """Take the upstream's limits over from the headers of its answer."""
        await self._model(model).learn(headers)

    async def close_for(self, model: str, seconds: float, *, gently: bool) -> None:
        """The upstream refused: no calls for so long; `gently`: start again at half the rate."""
        await self._model(model).close_for(seconds, gently)

    def _model(self, name: str) -> _Model:
        if name not in self._models:
            self._models[name] = _Model(self._redis, name, self._limits)
        return self._models[name]


class _Model:
    """The waiting calls of this process for one model."""

    def __init__(self, redis: Redis, name: str, limits: Limits) -> None:
        self._redis = redis
        self._script, self._close = redis.register_script(SCRIPT), redis.register_script(CLOSE)
        self._prefix = f"governor:{{{name}}}"
        self._limits = limits
        self._process = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._waiting: dict[str, _Ticket] = {}
        self._new: list[_Ticket] = []
        self._told_all_at = -math.inf
        self._back = [0, 0]  # requests and tokens to give back
        self._remaining: list[str] = ["", ""]
        self._learned: tuple[str, ...] = ()
        self._agent: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    async def permit(self, caller: Caller, tokens: int) -> None:
        ticket = _Ticket(caller, tokens, asyncio.get_running_loop().create_future())
        self._waiting[ticket.id] = ticket
        self._new.append(ticket)
        self._wake.set()
        if self._agent is None or self._agent.done():
            # In a context of its own: its log lines are not about the call that happens to be the first.
            self._agent = asyncio.create_task(self._ask_while_waiting(), context=contextvars.Context())
        await ticket.granted  # cancelled meanwhile: the grant is given back when it comes

    def give_back(self, requests: int, tokens: int) -> None:
        self._back[0] += requests
        self._back[1] += tokens

    async def learn(self, headers: Mapping[str, str]) -> None:
        limits = tuple(headers.get(f"x-ratelimit-limit-{kind}", "") for kind in ("requests", "tokens"))
        self._remaining = [headers.get(f"x-ratelimit-remaining-{kind}", "") for kind in ("requests", "tokens")]
        if limits != self._learned and all(limit.isdecimal() and int(limit) for limit in limits):
            self._learned = limits
            self._limits = Limits(*map(int, limits))  # Redis forgets them when it is emptied, or after a quiet hour
            learned = {"limit_requests": limits[0], "limit_tokens": limits[1]}
            await _told(self._redis.hset(f"{self._prefix}:bucket", mapping=learned))  # type: ignore[arg-type]

    async def close_for(self, seconds: float, gently: bool) -> None:
        await _told(self._close([f"{self._prefix}:bucket"], [seconds, 0.5 if gently else ""]))

    async def _ask_while_waiting(self) -> None:
        while self._waiting:
            self._wake.clear()
            try:
                pause = await self._ask()
            except (RedisError, OSError) as error:
                logger.warning("no rate governor, Redis is away: %s", type(error).__name__)
                self._grant(list(self._waiting))
                return
            if self._waiting:
                await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _ask(self) -> float:
        new, self._new = self._new, []
        if time.monotonic() - self._told_all_at > AGAIN_SECONDS:
            # Redis may have been emptied, or its answer with a grant was lost: nobody would wait for ever.
            new, self._told_all_at = list(self._waiting.values()), time.monotonic()
        back, self._back = self._back, [0, 0]
        remaining, self._remaining = self._remaining, ["", ""]
        arguments: list[Any] = [self._process, ALIVE_MS, self._limits.requests, self._limits.tokens, *back, *remaining]
        for ticket in new:
            arguments += [ticket.id, ticket.caller.priority, ticket.caller.flow, ticket.tokens]
        wait, granted = await self._script(keys=[self._prefix], args=arguments)
        self._grant(granted)
        return float(wait)

    def _grant(self, ids: list[str]) -> None:
        for ticket_id in ids:
            ticket = self._waiting.pop(ticket_id, None)
            if ticket and not ticket.granted.done():
                ticket.granted.set_result(None)
            elif ticket:  # who waited has left
                self.give_back(1, ticket.tokens)


async def _told(news: Awaitable[Any]) -> None:
    try:
        await news
    except (RedisError, OSError) as error:
        logger.warning("the governor could not be told: %s", type(error).__name__)
