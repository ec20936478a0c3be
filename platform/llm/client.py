"""The gateway: every call to the upstream goes through `Llm`."""

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
from llm.errors import ErrorKind, LlmError
from llm.governor import Caller, Governor
from llm.tokens import estimate

Messages = list[dict[str, str]]
SYSTEM = Caller(priority=2)


@dataclass(frozen=True)
class Traffic:
    """What all workers share: the rate governor and the circuit breakers."""

    governor: Governor
    breakers: Breakers


Schema = TypeVar("Schema", bound=BaseModel)
T = TypeVar("T")

EMBEDDING_BATCH = 128


class Llm:
    """Makes the upstream calls of one piece of work. `record` gets every call, whatever its outcome."""

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
        self._waiting, self._waiting_since = 0, 0.0  # calls waiting for a permit, and since when at least one is
        self._waited = 0.0

    @property
    def waited(self) -> float:
        """Seconds so far in which at least one call waited for a permit."""
        return self._waited + (time.monotonic() - self._waiting_since if self._waiting else 0.0)

    async def stream(self, purpose: str, messages: Messages, max_tokens: int = 1200) -> AsyncGenerator[str, None]:
        """Yield the pieces of an answer as they arrive. Raises LlmError, also in mid-stream.

        Retries only before the first piece, so that no text is shown twice.
        """
        body = self._chat(self.config.chat_model, messages, max_tokens)
        stream = await retry.in_call(lambda: self._open(purpose, body))
        try:
            async for text in stream:
                yield text
        finally:
            await stream.aclose()
            self._settle(stream.call)

    async def text(self, purpose: str, messages: Messages, max_tokens: int = 400) -> str:
        """Return a short answer of the fast model. Raises LlmError."""
        body = self._chat(self.config.fast_model, messages, max_tokens)
        return await self._once(purpose, sdk.CHAT, body, _content)

    async def parse(self, purpose: str, messages: Messages, schema: type[Schema], max_tokens: int = 800) -> Schema:
        """Return an answer as an instance of `schema`. Retries once if it does not fit. Raises LlmError.

        OpenAI's strict mode requires a schema without optional keys that forbids extra ones.
        """
        body = self._chat(self.config.fast_model, messages, max_tokens)
        json_schema = {"name": schema.__name__, "schema": _json_schema(schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": json_schema}

        async def ask() -> Schema:
            return await self._once(purpose, sdk.CHAT, body, lambda answer: _fit(schema, answer))

        return await retry.once_more(ErrorKind.INVALID, ask)

    async def embed(self, purpose: str, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, in order, requested in batches. Raises LlmError."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), EMBEDDING_BATCH):
            body = {
                "model": self.config.embedding_model,
                "input": texts[start : start + EMBEDDING_BATCH],
                "dimensions": self.config.embedding_dimensions,
                "encoding_format": "base64",  # a third of the size
            }
            vectors += await self._once(purpose, sdk.EMBEDDINGS, body, _vectors)
        return vectors

    def _chat(self, model: str, messages: Messages, max_tokens: int) -> dict[str, Any]:
        return {"model": model, "messages": messages, "max_completion_tokens": max_tokens}

    async def _once(self, purpose: str, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> T:
        """Make a call whose answer arrives whole, with retries. Each try is a call of its own for `record`."""

        async def attempt() -> T:
            async with self._guard(body["model"]):
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
                    raise await self._refused(call, self._account.fail(call, error)) from error
                self._account.end(call, "ok")
                self._settle(call)
                await self._learn(call, response.headers)
                return value

        return await retry.in_call(attempt)

    async def _open(self, purpose: str, body: dict[str, Any]) -> streaming.Stream:
        stream = None
        try:
            async with self._guard(body["model"]):
                call = await self._begin(purpose, body)
                stream = streaming.Stream(self._client, body, call, self.config, self._account)
                await stream.open()
                await self._learn(call, stream.headers)
            return stream
        except BaseException as error:
            if stream:
                await stream.aclose()  # no-op if `open` failed; otherwise the task was cancelled after it
                await self._refused(stream.call, error)
            raise

    def _guard(self, model: str) -> AbstractAsyncContextManager[None]:
        return self._breakers.guard(model) if self._breakers else nullcontext()

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

    async def _refused(self, call: Call, error: BaseException) -> BaseException:
        """Tell the governor if the upstream refused the call for its rate. Returns the error."""
        if self._governor and isinstance(error, LlmError) and error.kind is ErrorKind.RATE_LIMITED:
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
        raise LlmError(ErrorKind.REFUSED, "the model refused")
    return choice["message"].get("content") or ""


def _vectors(answer: dict[str, Any]) -> list[list[float]]:
    vectors = [each["embedding"] for each in answer["data"]]
    # Some OpenAI-compatible servers return plain numbers although base64 was requested.
    return [array("f", b64decode(each)).tolist() if isinstance(each, str) else each for each in vectors]


def _fit(schema: type[Schema], answer: dict[str, Any]) -> Schema:
    try:
        return schema.model_validate_json(_content(answer))
    except ValidationError as error:
        raise LlmError(
            ErrorKind.INVALID, f"the answer does not fit {schema.__name__}: {error.error_count()} errors"
        ) from None
