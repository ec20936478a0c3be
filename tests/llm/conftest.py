"""A real Redis, and a model name that no other test uses."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from llm import breaker
from llm.breaker import Breakers


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    client = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
async def slow_redis(redis: Redis) -> AsyncIterator[tuple[Redis, asyncio.Event]]:
    """The same Redis behind a proxy that delays its replies while the event is clear."""
    there, replies = redis.connection_pool.connection_kwargs, asyncio.Event()
    replies.set()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, is_reply: bool) -> None:
        while data := await source.read(65536):
            if is_reply:
                await replies.wait()
            target.write(data)
        target.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(there["host"], there["port"])
        await asyncio.gather(copy(reader, server_writer, False), copy(server_reader, writer, True))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as proxy:
        client = Redis(port=proxy.sockets[0].getsockname()[1], db=there.get("db", 0), decode_responses=True)
        await client.ping()
        yield client, replies
        replies.set()
        await client.aclose()


@pytest.fixture
def model() -> str:
    return f"model-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def breakers(redis) -> Breakers:
    return Breakers(redis)


@pytest.fixture
def key(model) -> str:
    return f"breaker:{{{model}}}"


@pytest.fixture
def probes_at_once(monkeypatch) -> None:
    """An opened breaker lets its first probe through without a pause."""
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0.0)
