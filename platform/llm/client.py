"""The one place that talks to OpenAI."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from array import array
from base64 import b64decode
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from llm import retry, sdk, streaming
from llm.breaker import Breakers
from llm.calls import Account, Call, Recorder
from llm.config import LlmConfig
from llm.errors import Kind, LlmError
from llm.governor import Caller, Governor
from llm.tokens import estimate

Messages = list[dict[str, str]]
SYSTEM = Caller(priority=2)


@dataclass(frozen=True)
class Traffic:
    """What all workers share on their way to the upstream."""

    governor: Governor
    breakers: Breakers


Schema = TypeVar("Schema", bound=BaseModel)
T = TypeVar("T")

EMBEDDING_BATCH = 128


class Llm:
    """Upstream calls on behalf of one piece of work. `record` is told of every call, however it ended."""

    def __init__(
        self,
        client: sdk.Client,
        config: LlmConfig,
        record: Recorder,
        traffic: Traffic | None = None,
        caller: Caller = SYSTEM,
    ) -> None:
        self._client = client
        self.config = config
        self._account = Account(record)
        self._governor = traffic.governor if traffic else None
        self._breakers = traffic.breakers if traffic else None
        self._caller = caller
        self._waiting, self._waiting_since = 0, 0.0  # calls that wait now, and since when any does
        self._waited = 0.0

    @property
    def waited(self) -> float:
        """Seconds spent waiting for a permit so far; time in which nothing could be done."""
        return self._waited + (time.monotonic() - self._waiting_since if self._waiting else 0.0)

    async def stream(self, purpose: str, messages: Messages, max_tokens: int = 1200) -> AsyncGenerator[str, None]:
        """Yield the pieces of an answer as they come. Raises LlmError, also in mid-stream.

        Retried only before the first piece: nothing that was shown is ever shown again.
        """
        body = self._chat(self.config.chat_model, messages, max_tokens)
        stream = await retry.in_call(lambda: self._open_guarded(purpose, body))
        try:
            async for text in stream:
                yield text
        finally:
            await stream.aclose()
            self._settle(stream.call)

    async def text(self, purpose: str, messages: Messages, max_tokens: int = 400) -> str:
        """A short answer in one piece, from the fast model. Raises LlmError."""
        body = self._chat(self.config.fast_model, messages, max_tokens)
        return await self._once(purpose, sdk.CHAT, body, _content)

    async def parse(self, purpose: str, messages: Messages, schema: type[Schema], max_tokens: int = 800) -> Schema:
        """An answer as an instance of `schema`. Raises LlmError; one that does not fit is asked for once more.

        OpenAI's strict mode wants a schema that forbids extra keys and has no optional ones.
        """
        body = self._chat(self.config.fast_model, messages, max_tokens)
        json_schema = {"name": schema.__name__, "schema": _json_schema(schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": json_schema}

        async def ask() -> Schema:
            return await self._once(purpose, sdk.CHAT, body, lambda answer: _fit(schema, answer))

        return await retry.once_more(Kind.INVALID, ask)

    async def embed(self, purpose: str, texts: list[str]) -> list[list[float]]:
        """One vector per text, in order, asked for in batches. Raises LlmError."""
        batches = [texts[i : i + EMBEDDING_BATCH] for i in range(0, len(texts), EMBEDDING_BATCH)]
        return [vector for batch in batches for vector in await self._embed(purpose, batch)]

    async def _embed(self, purpose: str, texts: list[str]) -> list[list[float]]:
        body: dict[str, Any] = {
            "model": self.config.embedding_model,
            "input": texts,
            "dimensions": self.config.embedding_dimensions,
            "encoding_format": "base64",  # a third of the size
        }
        return await self._once(purpose, sdk.EMBEDDINGS, body, _vectors)

    def _chat(self, model: str, messages: Messages, max_tokens: int) -> dict[str, Any]:
        return {"model": model, "messages": messages, "max_completion_tokens": max_tokens}

    async def _once(self, purpose: str, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> T:
        """A call whose answer comes in one piece, with retries; each try is a call of its own in the account."""

        async def attempt() -> T:
            async with self._guard(body["model"]):
                return await once()

        async def once() -> T:
            call = await self._begin(purpose, body)
            try:
                async with asyncio.timeout(self.config.first_token_timeout):
                    response = await sdk.ask(self._client, path, body)
                call.got_first_token()
                answer = response.json()
                call.upstream_id = response.headers.get("x-request-id", "")
                call.got_usage(answer.get("usage") or {})
                value = read(answer)
            except BaseException as error:
                raise await self._failed(call, error) from error
            self._account.end(call, "ok")
            self._settle(call)
            await self._learn(call, response.headers)
            return value

        return await retry.in_call(attempt)

    async def _open_guarded(self, purpose: str, body: dict[str, Any]) -> streaming.Stream:
        async with self._guard(body["model"]):
            return await self._open(purpose, body)

    def _guard(self, model: str) -> AbstractAsyncContextManager[None]:
        return self._breakers.guard(model) if self._breakers else nullcontext()

    async def _open(self, purpose: str, body: dict[str, Any]) -> streaming.Stream:
        call = await self._begin(purpose, body)
        stream = streaming.Stream(self._client, body, call, self.config, self._account)
        try:
            await stream.open()
        except BaseException as error:
            raise await self._refused(call, error) from error
        await self._learn(call, stream.headers)
        return stream

    async def _begin(self, purpose: str, body: dict[str, Any]) -> Call:
        text = json.dumps(body.get("messages") or body["input"])
        expected = estimate(text) + body.get("max_completion_tokens", 0) // 4
        waited = await self._permit(body["model"], expected)
        return Call(purpose, body["model"], input_text=text, expected_tokens=expected, governor_ms=round(waited * 1000))

    async def _permit(self, model: str, tokens: int) -> float:
        if self._governor is None:
            return 0.0
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting += 1
        try:
            return await self._governor.permit(model, self._caller, tokens)
        finally:
            waited = self.waited
            self._waiting -= 1
            if not self._waiting:
                self._waited = waited

    async def _failed(self, call: Call, error: BaseException) -> BaseException:
        return await self._refused(call, self._account.fail(call, error))

    async def _refused(self, call: Call, error: BaseException) -> BaseException:
        """Let the governor know of an upstream that says: too many."""
        if self._governor and isinstance(error, LlmError) and error.kind is Kind.RATE_LIMITED:
            await self._governor.close_for(call.model, error.retry_after or 1.0, gently=error.gently)
        return error

    async def _learn(self, call: Call, headers: Mapping[str, str]) -> None:
        if self._governor:
            await self._governor.learn(call.model, headers)

    def _settle(self, call: Call) -> None:
        if self._governor and call.input_tokens:
            self._governor.correct(call.model, call.expected_tokens, call.input_tokens + call.output_tokens)


@functools.lru_cache(maxsize=64)
def _json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema()


def _content(answer: dict[str, Any]) -> str:
    choice = answer["choices"][0]
    if choice["message"].get("refusal") or choice.get("finish_reason") == "content_filter":
        raise LlmError(Kind.REFUSED, "the model refused")
    return choice["message"].get("content") or ""


def _vectors(answer: dict[str, Any]) -> list[list[float]]:
    return [_vector(each["embedding"]) for each in answer["data"]]


def _vector(embedding: str | list[float]) -> list[float]:
    # Some servers that speak OpenAI's API answer in plain numbers all the same.
    return array("f", b64decode(embedding)).tolist() if isinstance(embedding, str) else embedding


def _fit(schema: type[Schema], answer: dict[str, Any]) -> Schema:
    try:
        return schema.model_validate_json(_content(answer))
    except ValidationError as error:
        raise LlmError(
            Kind.INVALID, f"the answer does not fit {schema.__name__}: {error.error_count()} errors"
        ) from None
