"""The part of the OpenAI SDK that we use: connections, authentication and errors, with undecoded responses.

Its typed methods copy each message of a prompt and build a model of each answer, which costs more CPU than the request.
"""

from __future__ import annotations

from typing import Any, cast

import httpx2
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient

from llm.config import LlmConfig

CHAT, EMBEDDINGS = "/chat/completions", "/embeddings"

Client = AsyncOpenAI


def connect(config: LlmConfig) -> Client:
    """Create a client for this event loop. Its own retries are off: llm/retry.py is the only retry loop."""
    # llm/client.py and llm/streaming.py limit the time to an answer and to its next piece.
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
    """Request an answer and read it whole. Raises what the SDK raises."""
    return await client.post(path, cast_to=httpx2.Response, body=body)


async def begin(client: Client, path: str, body: dict[str, Any]) -> httpx2.Response:
    """Request an answer without reading its body; the caller closes the response. Raises what the SDK raises."""
    response = await client.post(path, cast_to=httpx2.Response, body=body, stream=True, stream_cls=AsyncStream[Any])
    return cast(httpx2.Response, response)
