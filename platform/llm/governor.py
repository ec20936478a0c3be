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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import RedisError, ResponseError
from redis.asyncio import Redis

logger = logging.getLogger(__name__)

SCRIPT = (Path(__file__).parent / "governor.lua").read_text()
LONGEST_CLOSED = 3600  # seconds; a refusal closes a model for no longer, whatever the upstream asks (governor.lua)
# Notes a refusal or learned limits. KEYS: the bucket. ARGV: seconds to stay closed and the factor of the rate to resume
# with ("" leaves either unchanged), limits of requests and tokens per minute ("" for none). Like governor.lua it takes
# what cannot be read in the bucket for absent.
NOTE = """
local bucket = KEYS[1]
local found = redis.call('TYPE', bucket).ok
if found ~= 'hash' and found ~= 'none' then redis.call('DEL', bucket) end
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
if ARGV[1] ~= '' then
    local closed = tonumber(redis.call('HGET', bucket, 'closed_until') or '')
    local is_longer = closed and closed > now + ARGV[1] and closed <= now + 3660
    if not is_longer then redis.call('HSET', bucket, 'closed_until', string.format('%.6f', now + ARGV[1])) end
end
if ARGV[2] ~= '' then redis.call('HSET', bucket, 'factor', ARGV[2]) end
if ARGV[3] ~= '' then
    redis.call('HSET', bucket, 'limit_requests', ARGV[3], 'limit_tokens', ARGV[4])
    redis.call('HSET', bucket, 'learned_at', string.format('%.6f', now))
end
redis.call('EXPIRE', bucket, 3600)
"""
LEARNED_SECONDS = 3600  # for which learned limits hold without being confirmed
CONFIRM_SECONDS = 600  # how often limits that stay the same are confirmed in Redis
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

    def give_back(self, model: str, tokens: int) -> None:
        """Return the permit of a call of this many tokens that was not made after all."""
        self._model(model).give_back(1, max(1, tokens))

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
        self._script, self._note = redis.register_script(SCRIPT), redis.register_script(NOTE)
        self._prefix = f"{prefix}governor:{{{name}}}"
        self._configured = limits
        self._learned: Limits | None = None  # Redis loses them when flushed, or after an idle hour
        self._learned_at = self._noted_at = -math.inf
        self._process = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._waiting: dict[str, _Ticket] = {}
        self._new: list[_Ticket] = []
        self._sent_all_at = -math.inf
        self._back = [0, 0]  # requests and tokens to give back
        self._remaining: list[int | str] = ["", ""]
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
        if requests:
            self._wake.set()

    async def learn(self, headers: Mapping[str, str]) -> None:
        kinds = ("requests", "tokens")
        remaining = [_whole(headers.get(f"x-ratelimit-remaining-{kind}", "")) for kind in kinds]
        self._remaining = ["" if number is None else number for number in remaining]
        requests, tokens = (_whole(headers.get(f"x-ratelimit-limit-{kind}", "")) for kind in kinds)
        if requests and tokens:
            known, self._learned, self._learned_at = self._learned, Limits(requests, tokens), time.monotonic()
            if self._learned != known or time.monotonic() - self._noted_at > CONFIRM_SECONDS:
                self._noted_at = time.monotonic()
                await self._tell("", "", requests, tokens)

    async def close_for(self, seconds: float, gently: bool) -> None:
        await self._tell(min(max(seconds, 0.0), LONGEST_CLOSED), 0.5 if gently else "", "", "")

    def _limits(self) -> Limits:
        is_confirmed = time.monotonic() - self._learned_at < LEARNED_SECONDS
        return self._learned if self._learned and is_confirmed else self._configured

    async def _tell(self, *arguments: float | str) -> None:
        try:
            await self._note([f"{self._prefix}:bucket"], arguments)
        except Exception as error:  # the call itself went well, or has a failure of its own
            _warn("rate governor not updated", error)

    async def _ask_while_waiting(self) -> None:
        while self._waiting:
            self._wake.clear()
            try:
                pause = await self._ask()
            except Exception as error:  # an agent that ends would leave all these calls waiting for ever
                _warn("no rate governor", error)
                self._grant(list(self._waiting))
                continue
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
        limits = self._limits()
        arguments: list[Any] = [self._process, ALIVE_MS, limits.requests, limits.tokens, *back, *remaining]
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


def _whole(text: str) -> int | None:
    """A number of requests or tokens in a header; None for anything else."""
    return int(text) if text.isdecimal() and len(text) <= 12 else None


def _warn(what: str, error: Exception) -> None:
    """Log that Redis could not be used: calls go on without it. What is no outage has a traceback."""
    is_away = isinstance(error, RedisError | OSError) and not isinstance(error, ResponseError)
    logger.warning("%s, Redis failed: %s", what, type(error).__name__, exc_info=None if is_away else error)
