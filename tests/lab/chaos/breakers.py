"""The circuit breakers as Redis keeps them: their states, and FLUSHALL while one changes its state."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import redis.asyncio
from redis import RedisError

from tests.lab.chaos.upstream import Upstream

LOOK_SECONDS = 0.02
STATES = ("closed", "opened", "half-opened")


class Breakers:
    """The breakers of this Redis, whatever prefix its keys have."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._redis = redis.asyncio.Redis.from_url(url, decode_responses=True)

    async def state(self, model: str) -> str:
        """The state of this model's breaker: "failing" is closed with failures, "" without a key or Redis."""
        try:
            async for key in self._redis.scan_iter(f"*breaker:{{{model}}}"):
                if await self._redis.type(key) == "hash":
                    stored: Any = await self._redis.hgetall(key)
                    is_failing = stored.get("state") == "closed" and stored.get("failures", "0") != "0"
                    return "failing" if is_failing else stored.get("state", "")
        except (RedisError, OSError):
            pass
        return ""

    async def flush(self) -> None:
        """Remove everything from Redis."""
        # By a new connection: one that a killed Redis left behind fails once.
        async with redis.asyncio.Redis.from_url(self._url) as client:
            with suppress(RedisError, OSError):  # it was just killed, and comes back empty
                await client.flushall()

    async def flush_in(self, state: str, model: str, seconds: float, upstream: Upstream) -> str:
        """Have the model fail, remove everything when its breaker gets into this state, and have it work again.

        Returns the state in which that was: another one, when it did not get there within `seconds`.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        async with upstream.calm():
            await upstream.fail(model)
            while (seen := await self.state(model)) != state and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(LOOK_SECONDS)
            await self.flush()
        return seen or "no key"

    async def damaged(self) -> list[str]:
        """The breakers whose keys cannot be read or never expire.

        One that nothing has changed since it was replaced by text is closed, and has only got a time to live.
        """
        found = []
        async with redis.asyncio.Redis.from_url(self._url, decode_responses=True) as client:
            async for key in client.scan_iter("*breaker:*"):
                if await client.ttl(key) < 0:
                    found.append(f"{key} never expires")
                elif await client.type(key) == "hash" and await client.hget(key, "state") not in STATES:
                    found.append(f"{key} has no state")
        return found

    async def close(self) -> None:
        await self._redis.aclose()
