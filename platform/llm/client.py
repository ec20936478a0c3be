"""The gateway: every call to the upstream goes through `Llm`."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from llm import answers, retry, sdk, streaming
from llm.answers import Schema
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


T = TypeVar("T")

EMBEDDING_BATCH, EMBEDDING_TOKENS = 128, 200_000  # texts and tokens of one call; OpenAI takes 300,000 tokens
LARGEST_ANSWER = 32 * 1024 * 1024  # bytes of a whole answer; vectors as plain numbers are the largest


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
        self._account = Account(record, config.api_key)
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

        def read(answer: dict[str, Any], call: Call) -> Schema:
            return answers.fit(schema, _content(answer, call))

        return await retry.once_more(ErrorKind.INVALID, lambda: self._once(purpose, sdk.CHAT, body, read))

    async def embed(self, purpose: str, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, in order, requested in batches. Raises LlmError."""
        width, vectors = self.config.embedding_dimensions, []
        for batch in _batches(texts):
            body = {
                "model": self.config.embedding_model,
                "input": batch,
                "dimensions": width,
                "encoding_format": "base64",  # a third of the size
            }
            read = functools.partial(_vectors, count=len(batch), width=width)
            vectors += await self._once(purpose, sdk.EMBEDDINGS, body, read)
        return vectors

    def _chat(self, model: str, messages: Messages, max_tokens: int) -> dict[str, Any]:
        return {"model": model, "messages": messages, "max_completion_tokens": max_tokens}

    async def _once(self, purpose: str, path: str, body: dict[str, Any], read: Callable[[Any, Call], T]) -> T:
        """Make a call whose answer arrives whole, with retries. Each try is a call of its own for `record`."""

        async def attempt() -> T:
            async with self._admitted(purpose, body) as call:
                try:
                    headers, answer = await self._asked(path, body, call)
                    call.got_usage(answer.get("usage"))
                    value = read(answer, call)
                except BaseException as error:
                    raise await self._refused(call, self._account.fail(call, error)) from error
                self._account.end(call, "ok")
                self._settle(call)
                await self._learn(call, headers)
                return value

        return await retry.in_call(attempt)

    async def _asked(self, path: str, body: dict[str, Any], call: Call) -> tuple[Mapping[str, str], dict[str, Any]]:
        """The headers and the parsed body of a whole answer. Its connection is released, whatever comes."""
        try:
            async with asyncio.timeout(self.config.first_token_timeout):
                response = await sdk.begin(self._client, path, body)
                try:
                    call.accepted(response.headers.get("x-request-id", ""))
                    received = bytearray()
                    async for chunk in response.aiter_bytes():
                        received += chunk
                        if len(received) > LARGEST_ANSWER:
                            raise LlmError(ErrorKind.GARBLED, f"the answer has more than {LARGEST_ANSWER} bytes")
                finally:
                    await response.aclose()
        except TimeoutError:
            call.is_billable = True  # the upstream has probably worked on it all the time
            raise
        call.got_first_token()
        return response.headers, answers.parsed(bytes(received))

    async def _open(self, purpose: str, body: dict[str, Any]) -> streaming.Stream:
        stream = None
        try:
            async with self._admitted(purpose, body) as call:
                stream = streaming.Stream(self._client, body, call, self.config, self._account)
                await stream.open()
                await self._learn(call, stream.headers)
            return stream
        except BaseException as error:
            if stream:
                await stream.aclose()  # no-op if `open` failed; otherwise the task was cancelled after it
                await self._refused(stream.call, error)
            raise

    @asynccontextmanager
    async def _admitted(self, purpose: str, body: dict[str, Any]) -> AsyncIterator[Call]:
        """A call that the breaker and the governor admit, guarded by the breaker. Raises LlmError PAUSED.

        The breaker is asked before the call waits for its permit, so that nobody waits for an upstream that is down,
        and after it, since it may have opened meanwhile: then the permit goes back. Only then can the call become the
        breaker's probe, because the wait for a permit can be long.
        """
        if self._breakers:
            await self._breakers.check(body["model"])
        call = await self._permitted(purpose, body)
        is_admitted = False
        try:
            async with self._guard(call.model):
                is_admitted = True
                yield call
        finally:
            if not is_admitted and self._governor:
                self._governor.give_back(call.model, call.expected_tokens)

    def _guard(self, model: str) -> AbstractAsyncContextManager[None]:
        return self._breakers.guard(model) if self._breakers else nullcontext()

    async def _permitted(self, purpose: str, body: dict[str, Any]) -> Call:
        text = "\n".join(body["input"] if "input" in body else [message["content"] for message in body["messages"]])
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


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    tokens = 0
    for text in texts:
        tokens += estimate(text)
        if batch and (len(batch) == EMBEDDING_BATCH or tokens > EMBEDDING_TOKENS):
            yield batch
            batch, tokens = [], estimate(text)
        batch.append(text)
    if batch:
        yield batch


@functools.lru_cache(maxsize=64)
def _json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    return schema.model_json_schema()


def _content(answer: dict[str, Any], call: Call) -> str:
    text = answers.content(answer)
    call.got_text(text)
    return text


def _vectors(answer: dict[str, Any], call: Call, count: int, width: int) -> list[list[float]]:
    return answers.vectors(answer, count, width)
