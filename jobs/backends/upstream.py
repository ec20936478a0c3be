"""OpenAI, or the server at OPENAI_BASE_URL, as this project's settings configure it."""

from __future__ import annotations

import math
import time
from itertools import chain

from django.conf import settings
from redis.asyncio import Redis

from llm import breaker
from llm.breaker import Breakers
from llm.calls import Recorder
from llm.client import Llm, Traffic
from llm.config import LlmConfig
from llm.governor import Caller, Governor, Limits
from llm.sdk import Client, connect


class Upstream:
    """The way of one worker process to the upstream: its client, its share of the rate, its circuit breakers."""

    def __init__(self, redis: Redis) -> None:
        self.paused_at = -math.inf
        self._redis = redis
        self._config = _config()
        limits = Limits(settings.LLM_REQUESTS_PER_MINUTE, settings.LLM_TOKENS_PER_MINUTE)
        prefix = settings.REDIS_KEY_PREFIX
        self._traffic = Traffic(Governor(redis, limits, prefix), Breakers(redis, prefix))
        self._client: Client | None = None

    def llm(self, record: Recorder, caller: Caller) -> Llm:
        """The upstream for one piece of work. Must be called on the event loop."""
        if self._client is None:
            self._client = connect(self._config)
        return Llm(self._client, self._config, record, self._traffic, caller)

    def note_pause(self) -> None:
        """Note that a circuit breaker held a call back just now."""
        self.paused_at = time.monotonic()

    async def blocked(self) -> dict[str, bool]:
        """The models whose circuit breakers hold calls back, and whether a probe may go. RedisError without Redis."""
        states = {model: await breaker.state_of(self._redis, model, settings.REDIS_KEY_PREFIX) for model in models()}
        return {model: state != breaker.HELD_OPEN for model, state in states.items() if breaker.blocks(state)}

    async def close(self) -> None:
        """Close the connections to the upstream."""
        if self._client is not None:
            await self._client.close()
            self._client = None


def models() -> set[str]:
    """The models that the settings name."""
    return {settings.LLM_CHAT_MODEL, settings.LLM_FAST_MODEL, settings.LLM_EMBEDDING_MODEL}


async def breaker_states(redis: Redis) -> list[tuple[str, str]]:
    """Each model in use with the state of its circuit breaker. RedisError when Redis is away."""
    return [(model, await breaker.state_of(redis, model, settings.REDIS_KEY_PREFIX)) for model in sorted(models())]


async def breaker_changes(redis: Redis) -> list[breaker.Change]:
    """The last changes of the breakers of all models in use, newest first. RedisError when Redis is away."""
    found = [await breaker.changes(redis, model, settings.REDIS_KEY_PREFIX) for model in models()]
    return sorted(chain.from_iterable(found), reverse=True)


async def hold_breaker(redis: Redis, model: str, hold: breaker.Hold | None, by: str) -> None:
    """Hold the model's breaker open or closed; None releases it. RedisError when Redis is away."""
    await Breakers(redis, settings.REDIS_KEY_PREFIX).hold(model, hold, by)


def _config() -> LlmConfig:
    return LlmConfig(
        api_key=settings.OPENAI_API_KEY,
        base_url=settings.OPENAI_BASE_URL,
        chat_model=settings.LLM_CHAT_MODEL,
        fast_model=settings.LLM_FAST_MODEL,
        embedding_model=settings.LLM_EMBEDDING_MODEL,
        connect_timeout=settings.LLM_CONNECT_TIMEOUT,
        first_token_timeout=settings.LLM_FIRST_TOKEN_TIMEOUT,
        token_gap_timeout=settings.LLM_TOKEN_GAP_TIMEOUT,
    )
