"""The OpenAI SDK as we use it: its connections, keys and errors, and the answers as they came.

Its typed methods copy each message of a prompt and build models of each answer: more work than the request itself.
"""

from __future__ import annotations

import functools
from typing import Any, cast

import httpx2
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient

from llm.config import LlmConfig

CHAT, EMBEDDINGS = "/chat/completions", "/embeddings"


class Client(AsyncOpenAI):
    """The SDK's client, which would put the URL together anew for each request: as much work as sending it."""

    _prepare_url = functools.cache(AsyncOpenAI._prepare_url)


def connect(config: LlmConfig) -> Client:
    """A client for this process and event loop. Its own retries are off: one retry loop per failure."""
    # How long to wait for an answer, and for its next piece, is watched above the connection.
    timeout = httpx2.Timeout(None, connect=config.connect_timeout)
    limits = httpx2.Limits(max_connections=config.max_connections, max_keepalive_connections=config.max_connections)
    return Client(
        api_key=config.api_key,
        base_url=config.base_url,
        max_retries=0,
        timeout=timeout,
        http_client=DefaultAioHttpClient(timeout=timeout, limits=limits),
    )


async def ask(client: Client, path: str, body: dict[str, Any]) -> httpx2.Response:
    """The whole answer. Raises what the SDK raises."""
    return await client.post(path, cast_to=httpx2.Response, body=body)


async def begin(client: Client, path: str, body: dict[str, Any]) -> httpx2.Response:
    """An answer whose body is still to be read, and the response to be closed. Raises what the SDK raises."""
    response = await client.post(path, cast_to=httpx2.Response, body=body, stream=True, stream_cls=AsyncStream[Any])
    return cast(httpx2.Response, response)
