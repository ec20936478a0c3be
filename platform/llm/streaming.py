"""One streamed answer, read from the network as it arrives.

The SDK's stream objects build a model per chunk, which was most of a worker's CPU. Reading the lines as plain JSON
costs a third of that (docs/decisions/0006); connection, authentication and errors are still the SDK's.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
from pydantic_core import from_json

from llm import sdk
from llm.answers import as_object, garbled, raise_error_of, raise_refusal_of, text_of
from llm.calls import Account, Call
from llm.config import LlmConfig
from llm.errors import ErrorKind, LlmError
from llm.text import Joiner, loads

logger = logging.getLogger(__name__)

# Pause between two reads of a stream: reading tokens one by one costs several times as much CPU as reading batches, and
# viewers get batches anyway (jobs/events/batcher.py). The first piece of an answer is not delayed.
REST_SECONDS = 0.1
LONGEST_LINE = 1024 * 1024  # bytes; a chunk of an answer has a few hundred


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
        self._read_at = -math.inf
        self._pieces: AsyncIterator[str] | None = None
        self._first = ""
        self._is_closed = False

    async def open(self) -> None:
        """Connect and wait for the first piece. Raises LlmError; no piece has been shown then."""
        try:
            async with asyncio.timeout(self._config.first_token_timeout):
                self._response = response = await sdk.begin(self._client, sdk.CHAT, self._body)
                self.headers = response.headers
                self.call.accepted(response.headers.get("x-request-id", ""))
                self._pieces = _pieces(self._chunks(response), self.call)
                self._first = await anext(self._pieces, "")
                if not self._first:
                    raise LlmError(ErrorKind.INVALID, "the answer is empty")
        except TimeoutError as error:
            raise await self._fail(self._too_late(error)) from error
        except BaseException as error:
            raise await self._fail(error) from error

    async def __aiter__(self) -> AsyncIterator[str]:
        piece, loop = self._first, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as gap:  # one for all pieces: a new one for each costs twice as much
                while piece:
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

    async def _chunks(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        async for chunk in response.aiter_bytes():
            self._read_at = time.monotonic()
            yield chunk

    def _too_late(self, error: TimeoutError) -> Exception:
        """The failure for a first piece that did not come. An upstream that still sends chunks without text is up."""
        self.call.is_billable = True  # it has probably worked on the answer all the time
        silent = time.monotonic() - self._read_at
        if silent > min(self._config.token_gap_timeout, self._config.first_token_timeout / 2):
            return error
        return garbled(f"no text within {self._config.first_token_timeout:g} s, although the stream goes on")

    def _close(self, outcome: str) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._account.end(self.call, outcome)

    async def _fail(self, error: BaseException) -> BaseException:
        if not self._is_closed:
            self._is_closed = True
            error = self._account.fail(self.call, error)
        await self._hang_up()
        return error

    async def _hang_up(self) -> None:
        try:
            if self._response:
                await self._response.aclose()
        except Exception as error:  # the connection was broken already
            logger.info("a connection to the upstream was not closed cleanly: %s", type(error).__name__)


async def _pieces(chunks: AsyncIterator[bytes], call: Call) -> AsyncIterator[str]:
    """Yield the text of an event stream, one piece per read. Raises LlmError, also if the stream lacks its end."""
    lines = _Lines(call)
    async for chunk in chunks:
        if text := lines.read(chunk):
            yield text
        if lines.failure:
            raise lines.failure
        if lines.is_done:
            return
        if text:
            await asyncio.sleep(REST_SECONDS)
    if text := lines.read(b"\n"):  # the last line may lack its line break
        yield text
    if lines.failure or not (lines.is_done or lines.is_finished):
        raise lines.failure or garbled("the stream ended without its end mark")


class _Lines:
    """Parses the lines of an event stream, split at any byte. Do not read on after `failure` or `is_done`.

    `is_done`: the end mark has come. `is_finished`: a chunk said why the answer ends; some servers send no end mark.
    """

    def __init__(self, call: Call) -> None:
        self.failure: LlmError | None = None
        self.is_done = self.is_finished = False
        self._call = call
        self._rest = b""
        self._joiner = Joiner()

    def read(self, chunk: bytes) -> str:
        """Return the text of the lines that this chunk completes, up to the first that reports a failure."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")  # httpx's iter_lines decodes everything twice
        texts = []
        for line in lines:
            data = line[5:].strip() if line.startswith(b"data:") else b""
            if data == b"[DONE]":
                self.is_done = True
                break
            try:
                texts.append(self._text_of(_parsed(data)) if data else "")
            except LlmError as failure:
                self.failure = failure
                break
        if len(self._rest) > LONGEST_LINE:
            self.failure = self.failure or garbled(f"a line of the stream has more than {LONGEST_LINE} bytes")
        text = self._joiner.feed("".join(texts))
        if text:
            self._call.got_text(text)
        return text

    def _text_of(self, chunk: dict[str, Any]) -> str:
        self._call.got_usage(chunk.get("usage"))
        raise_error_of(chunk)
        choices = chunk.get("choices")
        if not choices:  # the chunk of the usage, and others without text
            return ""
        if not isinstance(choices, list):
            raise garbled("the choices of a chunk are no list")
        choice = as_object(choices[0], "the choice of a chunk")
        delta = as_object(choice.get("delta") or {}, "the delta")
        raise_refusal_of(choice, delta)
        self.is_finished = self.is_finished or bool(choice.get("finish_reason"))
        return text_of(delta.get("content"))


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        chunk = from_json(data)  # pydantic's parser: a third of the time of json.loads
    except ValueError:
        try:
            chunk = loads(data)  # it accepts half of a character, whose other half is in the next chunk
        except ValueError:
            raise garbled("a chunk of the stream is no JSON") from None
    return as_object(chunk, "a chunk of the stream")
