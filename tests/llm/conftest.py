"""A real Redis for what all workers share, and a model that no other test knows."""

import os
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    client = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
def model() -> str:
    return f"model-{uuid.uuid4().hex[:8]}"
