"""The one place that talks to OpenAI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import httpx2
from openai import AsyncOpenAI, DefaultAioHttpClient
from pydantic import BaseModel, ValidationError

from llm import retry, streaming
from llm.calls import Account, Call, Recorder
from llm.config import LlmConfig
from llm.errors import Kind, LlmError

Client = AsyncOpenAI
Messages = list[dict[str, str]]
Schema = TypeVar("Schema", bound=BaseModel)
T = TypeVar("T")

EMBEDDING_BATCH = 128


def connect(config: LlmConfig) -> Client:
    """A client for this process and event loop. Its own retries are off: one retry loop per failure."""
    timeout = httpx2.Timeout(config.first_token_timeout, connect=config.connect_timeout)
    limits = httpx2.Limits(max_connections=config.max_connections, max_keepalive_connections=config.max_connections)
    return AsyncOpenAI(
        api_key=config.api_key,
        base_url=config.base_url,
        max_retries=0,
        timeout=timeout,
        http_client=DefaultAioHttpClient(timeout=timeout, limits=limits),
    )


class Llm:
    """Upstream calls on behalf of one piece of work. `record` is told of every call, however it ended."""

    def __init__(self, client: Client, config: LlmConfig, record: Recorder) -> None:
        self._client = client
        self.config = config
        self._account = Account(record)

    async def stream(self, purpose: str, messages: Messages, max_tokens: int = 1200) -> AsyncIterator[str]:
        """Yield the pieces of an answer as they come. Raises LlmError, also in mid-stream.

        Retried only before the first piece: nothing that was shown is ever shown again.
        """
        body = self._chat(self.config.chat_model, messages, max_tokens)
        stream = await retry.in_call(lambda: self._open(purpose, body))
        try:
            async for text in stream:
                yield text
        finally:
            await stream.aclose()

    async def text(self, purpose: str, messages: Messages, max_tokens: int = 400) -> str:
        """A short answer in one piece, from the fast model. Raises LlmError."""
        body = self._chat(self.config.fast_model, messages, max_tokens)
        return await self._once(purpose, body, lambda: self._complete(body), _content)

    async def parse(self, purpose: str, messages: Messages, schema: type[Schema], max_tokens: int = 800) -> Schema:
        """An answer as an instance of `schema`. Raises LlmError; an answer that does not fit is a passing failure.

        OpenAI's strict mode wants a schema that forbids extra keys and has no optional ones.
        """
        body = self._chat(self.config.fast_model, messages, max_tokens)
        json_schema = {"name": schema.__name__, "schema": schema.model_json_schema(), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        return await self._once(purpose, body, lambda: self._complete(body), lambda answer: _fit(schema, answer))

    async def embed(self, purpose: str, texts: list[str]) -> list[list[float]]:
        """One vector per text, in order, asked for in batches. Raises LlmError."""
        batches = [texts[i : i + EMBEDDING_BATCH] for i in range(0, len(texts), EMBEDDING_BATCH)]
        return [vector for batch in batches for vector in await self._embed(purpose, batch)]

    async def _embed(self, purpose: str, texts: list[str]) -> list[list[float]]:
        body: dict[str, Any] = {
            "model": self.config.embedding_model,
            "input": texts,
            "dimensions": self.config.embedding_dimensions,
        }
        create = self._client.embeddings.create
        return await self._once(
            purpose, body, lambda: create(**body), lambda answer: [d.embedding for d in answer.data]
        )

    def _chat(self, model: str, messages: Messages, max_tokens: int) -> dict[str, Any]:
        return {"model": model, "messages": messages, "max_completion_tokens": max_tokens}

    async def _complete(self, body: dict[str, Any]) -> Any:
        return await self._client.chat.completions.create(**body)

    async def _once(
        self, purpose: str, body: dict[str, Any], ask: Callable[[], Awaitable[Any]], read: Callable[[Any], T]
    ) -> T:
        """A call whose answer comes in one piece, with retries; each try is a call of its own in the account."""

        async def attempt() -> T:
            call = self._begin(purpose, body)
            try:
                async with asyncio.timeout(self.config.first_token_timeout):
                    answer = await ask()
                call.got_first_token()
                call.model = answer.model or call.model
                call.got_usage(answer.usage.model_dump() if answer.usage else {})
                value = read(answer)
            except BaseException as error:
                raise self._account.fail(call, error) from error
            self._account.end(call, "ok")
            return value

        return await retry.in_call(attempt)

    async def _open(self, purpose: str, body: dict[str, Any]) -> streaming.Stream:
        call = self._begin(purpose, body)
        stream = streaming.Stream(self._client, body, call, self.config, self._account)
        await stream.open()
        return stream

    def _begin(self, purpose: str, body: dict[str, Any]) -> Call:
        return Call(purpose, body["model"], input_text=json.dumps(body.get("messages") or body["input"]))


def _content(answer: Any) -> str:
    message = answer.choices[0].message
    if message.refusal or answer.choices[0].finish_reason == "content_filter":
        raise LlmError(Kind.REFUSED, "the model refused")
    return message.content or ""


def _fit(schema: type[Schema], answer: Any) -> Schema:
    try:
        return schema.model_validate_json(_content(answer))
    except ValidationError as error:
        raise LlmError(
            Kind.TRANSIENT, f"the answer does not fit {schema.__name__}: {error.error_count()} errors"
        ) from None
