"""Requests by the SDK, with its connections, keys and errors, and their answers as they came.

Its typed methods copy each message of a prompt and build models of each answer: more work than the request itself.
"""

from __future__ import annotations

from typing import Any, cast

import httpx2
from openai import AsyncOpenAI, AsyncStream

CHAT, EMBEDDINGS = "/chat/completions", "/embeddings"


async def ask(client: AsyncOpenAI, path: str, body: dict[str, Any]) -> httpx2.Response:
    """The whole answer. Raises what the SDK raises."""
    return await client.post(path, cast_to=httpx2.Response, body=body)


async def begin(client: AsyncOpenAI, path: str, body: dict[str, Any]) -> httpx2.Response:
    """An answer whose body is still to be read, and the response to be closed. Raises what the SDK raises."""
    response = await client.post(path, cast_to=httpx2.Response, body=body, stream=True, stream_cls=AsyncStream[Any])
    return cast(httpx2.Response, response)
