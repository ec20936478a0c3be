"""The gateway to OpenAI as this project configures it: one client for each event loop."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from django.conf import settings

from jobs.events import publish
from llm import breaker
from llm.breaker import Breakers
from llm.calls import Recorder
from llm.client import Llm, Traffic
from llm.config import LlmConfig
from llm.governor import Caller, Governor, Limits
from llm.sdk import Client, connect

_upstreams: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Client, Traffic]] = WeakKeyDictionary()


def llm(record: Recorder, caller: Caller) -> Llm:
    """The upstream, for one piece of work. Must be called on a running event loop."""
    config = _config()
    loop = asyncio.get_running_loop()
    if loop not in _upstreams:
        limits = Limits(settings.LLM_REQUESTS_PER_MINUTE, settings.LLM_TOKENS_PER_MINUTE)
        redis = publish.redis_client()
        _upstreams[loop] = (connect(config), Traffic(Governor(redis, limits), Breakers(redis)))
    client, traffic = _upstreams[loop]
    return Llm(client, config, record, traffic, caller)


async def close() -> None:
    """Close this event loop's connections to the upstream, if it has any."""
    if asyncio.get_running_loop() in _upstreams:
        client, _ = _upstreams.pop(asyncio.get_running_loop())
        await client.close()


def models() -> set[str]:
    """The models that are used."""
    return {settings.LLM_CHAT_MODEL, settings.LLM_FAST_MODEL, settings.LLM_EMBEDDING_MODEL}


async def is_paused() -> bool:
    """Whether a circuit breaker holds calls back at the moment. RedisError when Redis is away."""
    redis = publish.redis_client()
    return any([await breaker.is_blocking(redis, model) for model in models()])


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
