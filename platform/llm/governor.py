"""The rate governor: decides which call may go to the upstream next, for all workers, through one atomic Redis script.

It shares out the upstream's limits, requests and tokens per minute for each model, by priority, and fairly between
people within a priority (see governor.lua). Each process asks for all its waiting calls together: hundreds of them cost
one script call every few milliseconds, and idle processes make none.
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
# KEYS: the bucket. ARGV: seconds to stay closed, and the factor of the rate to resume with ("" leaves it unchanged).
CLOSE = """
local clock = redis.call('TIME')
local wanted = clock[1] + clock[2] / 1e6 + ARGV[1]
if wanted > tonumber(redis.call('HGET', KEYS[1], 'closed_until') or '0') then
    redis.call('HSET', KEYS[1], 'closed_until', wanted)
end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'factor', ARGV[2]) end
"""
ALIVE_MS = 5000
SHORTEST_WAIT, LONGEST_WAIT = 0.005, 0.25  # seconds between two script calls while calls wait
AGAIN_SECONDS = 2.0  # how often all waiting calls are sent to Redis again


@dataclass(frozen=True)
class Caller:
    """For whom a call is made: its priority (0 highest, 2 lowest) and its flow, usually the person."""

    priority: int = 0
    flow: str = "system"


@dataclass(frozen=True)
class Limits:
    """Limits per minute, used until the upstream's headers report its own."""

    requests: int = 500
    tokens: int = 200_000


@dataclass
class _Ticket:
    caller: Caller
    tokens: int
    granted: asyncio.Future[None]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class Governor:
    """The governor as one process sees it. `prefix` precedes its keys in Redis."""

    def __init__(self, redis: Redis, limits: Limits = Limits(), prefix: str = "") -> None:
        self._redis = redis
        self._limits = limits
        self._prefix = prefix
        self._models: dict[str, _Model] = {}

    async def permit(self, model: str, caller: Caller, tokens: int) -> float:
        """Wait until a call of about this many tokens may be made. Returns the seconds waited.

        Without Redis nobody waits: then only the upstream's own refusals limit the rate.
        """
        began = time.perf_counter()
        await self._model(model).permit(caller, max(1, tokens))
        return time.perf_counter() - began

    def correct(self, model: str, estimated: int, used: int) -> None:
        """Return the difference between the estimated and the reported tokens."""
        self._model(model).give_back(0, estimated - used)

    async def learn(self, model: str, headers: Mapping[str, str]) -> None:
        """Learn the upstream's limits from the headers of its answer."""
        await self._model(model).learn(headers)

    async def close_for(self, model: str, seconds: float, *, gently: bool) -> None:
        """Stop all calls for this many seconds after a refusal; `gently`: resume at half the rate."""
        await self._model(model).close_for(seconds, gently)

    def _model(self, name: str) -> _Model:
        if name not in self._models:
            self._models[name] = _Model(self._redis, name, self._limits, self._prefix)
        return self._models[name]


class _Model:
    """The waiting calls of this process for one model."""

    def __init__(self, redis: Redis, name: str, limits: Limits, prefix: str) -> None:
        self._redis = redis
        self._script, self._close = redis.register_script(SCRIPT), redis.register_script(CLOSE)
        self._prefix = f"{prefix}governor:{{{name}}}"
        self._limits = limits
        self._process = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._waiting: dict[str, _Ticket] = {}
        self._new: list[_Ticket] = []
        self._sent_all_at = -math.inf
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
            # In an empty context, so that its log lines do not carry the ids of the call that started it.
            self._agent = asyncio.create_task(self._ask_while_waiting(), context=contextvars.Context())
        await ticket.granted  # if this is cancelled, _grant gives the permit back

    def give_back(self, requests: int, tokens: int) -> None:
        self._back[0] += requests
        self._back[1] += tokens

    async def learn(self, headers: Mapping[str, str]) -> None:
        limits = tuple(headers.get(f"x-ratelimit-limit-{kind}", "") for kind in ("requests", "tokens"))
        self._remaining = [headers.get(f"x-ratelimit-remaining-{kind}", "") for kind in ("requests", "tokens")]
        if limits != self._learned and all(limit.isdecimal() and int(limit) for limit in limits):
            self._learned = limits
            self._limits = Limits(*map(int, limits))  # Redis loses them when flushed, or after an idle hour
            learned = {"limit_requests": limits[0], "limit_tokens": limits[1]}
            await _tell(self._redis.hset(f"{self._prefix}:bucket", mapping=learned))  # type: ignore[arg-type]

    async def close_for(self, seconds: float, gently: bool) -> None:
        await _tell(self._close([f"{self._prefix}:bucket"], [seconds, 0.5 if gently else ""]))

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
        if time.monotonic() - self._sent_all_at > AGAIN_SECONDS:
            # Redis may have been flushed, or a reply with grants lost; without this those calls would wait forever.
            new, self._sent_all_at = list(self._waiting.values()), time.monotonic()
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
            elif ticket:  # its call was cancelled
                self.give_back(1, ticket.tokens)


async def _tell(command: Awaitable[Any]) -> None:
    try:
        await command
    except (RedisError, OSError) as error:
        logger.warning("rate governor not updated, Redis is away: %s", type(error).__name__)
