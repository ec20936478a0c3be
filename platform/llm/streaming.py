"""One streamed answer, read as it comes over the network.

The SDK's own stream objects build a model per chunk, which is most of a worker's CPU; reading the lines as plain
JSON costs a third of it (docs/decisions/0006), and keeps the SDK's connection, auth and errors.
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
from llm.errors import Kind, LlmError, from_body
from llm.patience import Patience

# Between two looks at a stream. Tokens that come one by one cost several times of those that come together, and viewers
# are sent what has gathered in so long anyway (jobs/events/batcher.py). The first piece of an answer never waits.
REST_SECONDS = 0.1


class Stream:
    """Iterates over the pieces of one answer. `open` waits for the first piece, `aclose` hangs up."""

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
        """Connect and wait for the first piece. Raises LlmError; nothing has been shown then."""
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
        piece, patience = self._first, Patience(self._config.token_gap_timeout)
        try:
            while piece:
                self._shown.append(piece)
                yield piece
                with patience:
                    piece = await anext(self._pieces, "") if self._pieces else ""
        except BaseException as error:
            raise await self._fail(error) from error
        finally:
            patience.close()
        self._close("ok")

    async def aclose(self) -> None:
        """Hang up. The upstream sees it at once; a stream left early is accounted as cancelled."""
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
    """The answer's text out of an event stream: what has come together is one piece. One that just stops has failed."""
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
        raise LlmError(Kind.TRANSIENT, "the stream broke off")


class _Lines:
    """The lines of an event stream that is cut anywhere. After a failure or the end nothing more is to be read."""

    def __init__(self, call: Call) -> None:
        self.failure: LlmError | None = None
        self.is_done = False
        self._call = call
        self._rest = b""

    @property
    def is_done_with_rest(self) -> bool:
        """Whether the end mark is there, be it without a line break."""
        return _data(self._rest) == _DONE

    def read(self, chunk: bytes) -> str:
        """The text of the lines that are complete now, up to the first that tells of a failure."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")  # the client's own iter_lines decodes all of it twice
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
        return from_json(data)  # what pydantic reads JSON with: a third of the time of json.loads
    except ValueError:
        raise LlmError(Kind.TRANSIENT, "the stream was garbled") from None


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
        raise LlmError(Kind.REFUSED, "the model refused")
    return delta.get("content") or ""
