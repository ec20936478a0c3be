"""The part of the OpenAI SDK that we use: connections, authentication and errors, with undecoded responses.

Its typed methods copy each message of a prompt and build a model of each answer, which costs more CPU than the request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
from openai import AsyncOpenAI, AsyncStream, DefaultAioHttpClient

from llm.config import LlmConfig

CHAT, EMBEDDINGS = "/chat/completions", "/embeddings"
LARGEST_ERROR = 64 * 1024  # bytes read of the body of a refusal

Client = AsyncOpenAI


def connect(config: LlmConfig) -> Client:
    """Create a client for this event loop. Its own retries are off: llm/retry.py is the only retry loop."""
    # llm/client.py and llm/streaming.py limit the time to an answer and to its next piece.
    timeout = httpx2.Timeout(None, connect=config.connect_timeout)
    limits = httpx2.Limits(max_connections=config.max_connections, max_keepalive_connections=config.max_connections)
    http = DefaultAioHttpClient(timeout=timeout, limits=limits, event_hooks={"response": [_bound_refusal]})
    return Client(
        api_key=config.api_key,
        base_url=config.base_url,
        max_retries=0,
        timeout=timeout,
        http_client=http,
        default_headers={"Accept-Encoding": "identity"},  # answers are short, and vectors hardly get smaller
    )


async def begin(client: Client, path: str, body: dict[str, Any]) -> httpx2.Response:
    """Request an answer without reading its body; the caller closes the response. Raises what the SDK raises."""
    response = await client.post(path, cast_to=httpx2.Response, body=body, stream=True, stream_cls=AsyncStream[Any])
    return cast(httpx2.Response, response)


async def _bound_refusal(response: httpx2.Response) -> None:
    """Have the SDK read no more than LARGEST_ERROR of a refusal's body, and take it as it is."""
    if response.is_error and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Beginning(response.stream)
        response.headers.pop("content-encoding", None)  # nobody asked for one, and damage there would hide the status


class _Beginning(httpx2.AsyncByteStream):
    """The first LARGEST_ERROR bytes of a response's body."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LARGEST_ERROR
        async for chunk in self._body:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._body.aclose()
