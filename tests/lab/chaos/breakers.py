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
        with suppress(RedisError, OSError):  # it was just killed, and comes back empty
            await self._redis.flushall()

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
        """The breakers whose keys cannot be read or never expire."""
        found = []
        async for key in self._redis.scan_iter("*breaker:*"):
            if await self._redis.type(key) != "hash":
                found.append(f"{key} is no hash")
            elif await self._redis.hget(key, "state") not in STATES:
                found.append(f"{key} has no state")
            elif await self._redis.ttl(key) < 0:
                found.append(f"{key} never expires")
        return found

    async def close(self) -> None:
        await self._redis.aclose()
