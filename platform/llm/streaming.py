"""One streamed answer, read from the network as it arrives.

The SDK's stream objects build a model per chunk, which was most of a worker's CPU. Reading the lines as plain JSON
costs a third of that (docs/decisions/0006); connection, authentication and errors are still the SDK's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
from pydantic_core import from_json

from llm import sdk
from llm.calls import Account, Call
from llm.config import LlmConfig
from llm.errors import ErrorKind, LlmError, from_body

# Pause between two reads of a stream: reading tokens one by one costs several times as much CPU as reading batches, and
# viewers get batches anyway (jobs/events/batcher.py). The first piece of an answer is not delayed.
REST_SECONDS = 0.1


class Stream:
    """Iterates over the pieces of one answer. `open` waits for the first piece, `aclose` closes the connection."""

    def __init__(
        self, client: sdk.Client, body: dict[str, Any], call: Call, config: LlmConfig, account: Account
    ) -> None:
        self._client = client
        self._body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        self.call = call
        self.headers: Mapping[str, str] = {}
        self._config = config
        self._account = account
        self._response: httpx2.Response | None = None
        self._pieces: AsyncIterator[str] | None = None
        self._first = ""
        self._shown: list[str] = []
        self._is_closed = False

    async def open(self) -> None:
        """Connect and wait for the first piece. Raises LlmError; no piece has been shown then."""
        try:
            async with asyncio.timeout(self._config.first_token_timeout):
                self._response = response = await sdk.begin(self._client, sdk.CHAT, self._body)
                self.headers = response.headers
                self.call.upstream_id = response.headers.get("x-request-id", "")
                self._pieces = _pieces(response.aiter_bytes(), self.call)
                self._first = await anext(self._pieces, "")
        except BaseException as error:
            raise await self._fail(error) from error

    async def __aiter__(self) -> AsyncIterator[str]:
        piece, loop = self._first, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as gap:  # one for all pieces: a new one for each costs twice as much
                while piece:
                    self._shown.append(piece)
                    gap.reschedule(None)  # the time that the reader takes does not count
                    yield piece
                    gap.reschedule(loop.time() + self._config.token_gap_timeout)
                    piece = await anext(self._pieces, "") if self._pieces else ""
        except BaseException as error:
            raise await self._fail(error) from error
        self._close("ok")

    async def aclose(self) -> None:
        """Close the connection, which the upstream notices at once; record an unfinished stream as cancelled."""
        self._close("cancelled")
        await self._hang_up()

    def _close(self, outcome: str) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._account.end(self.call, outcome, "".join(self._shown))

    async def _fail(self, error: BaseException) -> BaseException:
        if not self._is_closed:
            self._is_closed = True
            error = self._account.fail(self.call, error, "".join(self._shown))
        await self._hang_up()
        return error

    async def _hang_up(self) -> None:
        if self._response:
            await self._response.aclose()


async def _pieces(chunks: AsyncIterator[bytes], call: Call) -> AsyncIterator[str]:
    """Yield the text of an event stream, one piece per read. Raises LlmError, also if the end mark is missing."""
    lines = _Lines(call)
    async for chunk in chunks:
        if text := lines.read(chunk):
            call.got_first_token()
            yield text
        if lines.failure:
            raise lines.failure
        if lines.is_done:
            return
        if text:
            await asyncio.sleep(REST_SECONDS)
    if not lines.is_done_with_rest:
        raise LlmError(ErrorKind.TRANSIENT, "the stream broke off")


class _Lines:
    """Parses the lines of an event stream, split at any byte. Do not read on after `failure` or `is_done`."""

    def __init__(self, call: Call) -> None:
        self.failure: LlmError | None = None
        self.is_done = False
        self._call = call
        self._rest = b""

    @property
    def is_done_with_rest(self) -> bool:
        """Whether the last line, without a line break, is the end mark."""
        return _data(self._rest) == _DONE

    def read(self, chunk: bytes) -> str:
        """Return the text of the lines that this chunk completes, up to the first that reports a failure."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")  # httpx's iter_lines decodes everything twice
        texts = []
        for line in lines:
            data = _data(line)
            if data == _DONE:
                self.is_done = True
                break
            try:
                texts.append(_text_of(_loads(data), self._call) if data else "")
            except LlmError as failure:
                self.failure = failure
                break
        return "".join(texts)


_DONE = b"[DONE]"


def _data(line: bytes) -> bytes:
    return line[5:].strip() if line.startswith(b"data:") else b""


def _loads(data: bytes) -> dict[str, Any]:
    try:
        return from_json(data)  # pydantic's parser: a third of the time of json.loads
    except ValueError:
        raise LlmError(ErrorKind.TRANSIENT, "the stream was garbled") from None


def _text_of(chunk: dict[str, Any], call: Call) -> str:
    if error := chunk.get("error"):
        raise from_body(error)
    if usage := chunk.get("usage"):
        call.got_usage(usage)
    choices = chunk.get("choices")
    if not choices:
        return ""
    delta = choices[0].get("delta") or {}
    if delta.get("refusal") or choices[0].get("finish_reason") == "content_filter":
        raise LlmError(ErrorKind.REFUSED, "the model refused")
    return delta.get("content") or ""
