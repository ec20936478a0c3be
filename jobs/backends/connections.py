"""How the engine connects to Redis: one factory, with the same bounds for every client."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from redis import Redis
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from jobs.backends.db import Database

HUNG_SECONDS = 1.0


class Client(Redis):
    """A Redis client that remembers a time-out."""

    _hung_until = -math.inf

    @contextmanager
    def fail_fast(self) -> Iterator[None]:
        """Around commands that may be left out: raises TimeoutError at once for HUNG_SECONDS after a time-out.

        So a hundred threads do not each wait for a Redis that hangs.
        """
        if time.monotonic() < self._hung_until:
            raise RedisTimeout("Redis did not answer a moment ago")
        try:
            yield
        except RedisTimeout:
            self._hung_until = time.monotonic() + HUNG_SECONDS
            raise


@functools.cache
def redis() -> Client:
    """The client of this process for synchronous code. It may be shared by threads."""
    client = Client.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 1), **_timeouts())
    assert isinstance(client, Client)
    return client


def key(name: str) -> str:
    """The name of one of our keys in Redis, with the prefix of this installation."""
    return f"{settings.REDIS_KEY_PREFIX}{name}"


def async_redis() -> AsyncRedis:
    """A new client for one event loop, with at most 32 connections. The caller closes it."""
    pool = BlockingConnectionPool.from_url(
        settings.REDIS_URL,
        decode_responses=True,
        max_connections=32,
        timeout=settings.REDIS_TIMEOUT,
        retry=AsyncRetry(NoBackoff(), 1),
        **_timeouts(),
    )
    return AsyncRedis.from_pool(pool)


def listening_redis() -> AsyncRedis:
    """A new client for pub/sub. It does not reconnect by itself: its user has to subscribe again."""
    return AsyncRedis.from_url(settings.REDIS_URL, retry=AsyncRetry(NoBackoff(), 0), **_timeouts())


class Resources:
    """What a process that runs or follows jobs has once: database threads, and a Redis client for its event loop.

    Making it opens nothing yet.
    """

    def __init__(self) -> None:
        self.db = Database(settings.JOBS_DB_THREADS)
        self.redis = async_redis()

    async def close(self) -> None:
        """Close the connections to Redis and Postgres, and end the database threads."""
        try:
            await self.redis.aclose()
        finally:
            await self.db.close()


def _timeouts() -> dict[str, Any]:
    """An unreachable Redis must not hold up a request or an answer."""
    return {"socket_timeout": settings.REDIS_TIMEOUT, "socket_connect_timeout": settings.REDIS_TIMEOUT}
