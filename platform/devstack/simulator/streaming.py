"""Efficient server-sent events: chunks are encoded in advance, each needs one timer and one write."""

import asyncio
import json
import time
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from aiohttp import web

from .chat_request import ChatRequest
from .faults import FaultRule
from .journal import RequestRecord
from .replies import Reply

SSE_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
MALFORMED = b'data: {"id": "chatcmpl-", "object": "chat.comp\n\n'
DONE = b"data: [DONE]\n\n"


class ChunkEncoder:
    """Encodes the events of one stream; the part that all chunks share is encoded once."""

    def __init__(self, chat: ChatRequest, completion_id: str) -> None:
        self._usage = chat.include_usage
        head = {
            "id": completion_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": chat.model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulator",
        }
        self._head = "data: " + json.dumps(head, separators=(",", ":"))[:-1]

    def delta(self, delta: str, finish_reason: str = "null") -> bytes:
        """A chunk with one choice; both arguments are JSON text."""
        usage = ',"usage":null' if self._usage else ""
        choice = f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}'
        return f'{self._head},"choices":[{choice}]{usage}}}\n\n'.encode("ascii")

    def role(self) -> bytes:
        """The first chunk."""
        return self.delta('{"role":"assistant","content":"","refusal":null}')

    def pieces(self, reply: Reply) -> list[bytes]:
        """A chunk for every piece of the reply."""
        field = "refusal" if reply.refused else "content"
        return [self.delta(f'{{"{field}":{quote(piece)}}}') for piece in reply.pieces]

    def ending(self, reply: Reply, prompt_tokens: int) -> bytes:
        """The chunks after the last piece: finish reason, usage if requested, end mark."""
        finish = self.delta("{}", quote(reply.finish_reason))
        if not self._usage:
            return finish + DONE
        usage = json.dumps(reply.usage(prompt_tokens), separators=(",", ":"))
        return finish + f'{self._head},"choices":[],"usage":{usage}}}\n\n'.encode("ascii") + DONE


class Pacer:
    """Writes frames to a connection at fixed times, from timer callbacks instead of a task per stream.

    The times are absolute, so a late chunk does not delay the ones after it.
    """

    def __init__(self, transport: asyncio.Transport, interval: float, record: RequestRecord) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport, self._interval, self._record = transport, interval, record
        self._timer: asyncio.TimerHandle | None = None

    async def send(self, frames: list[bytes]) -> None:
        """Write all frames, the first immediately; cancelled when the client disconnects."""
        self._frames = iter(frames)
        self._left = len(frames)
        self._due = self._loop.time()
        self._all_sent = self._loop.create_future()
        if not frames:
            return
        try:
            self._send_next()
            await self._all_sent
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _send_next(self) -> None:
        self._transport.write(next(self._frames))
        self._record.chunk_sent()
        self._left -= 1
        if self._left:
            self._due += self._interval
            self._timer = self._loop.call_at(self._due, self._send_next)
        elif not self._all_sent.done():
            self._all_sent.set_result(None)


async def stream_reply(
    request: web.Request,
    record: RequestRecord,
    chat: ChatRequest,
    reply: Reply,
    *,
    fault: FaultRule | None,
    interval: float,
) -> web.StreamResponse:
    """Send the reply as server-sent events, cut or damaged by the fault, if any."""
    encoder = ChunkEncoder(chat, f"chatcmpl-{record.id[4:]}")
    frames = _broken(encoder.pieces(reply), fault)
    response = web.StreamResponse(headers=SSE_HEADERS)
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(encoder.role())
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client left")
    await Pacer(transport, interval, record).send([_chunked(frame) for frame in frames])
    if fault and fault.kind in ("disconnect", "stall"):
        await break_off(request, record, fault)
        return response
    # Finish before the last bytes are sent: the client may disconnect as soon as it has read them.
    record.finish("completed", response.status)
    await response.write(encoder.ending(reply, chat.prompt_tokens))
    await response.write_eof()
    return response


async def send_json(
    request: web.Request, payload: dict[str, Any], record: RequestRecord, fault: FaultRule | None
) -> web.StreamResponse:
    """Send a plain JSON response, cut or damaged by the fault, if any."""
    body = json.dumps(payload).encode("ascii")
    if fault is None or fault.kind not in ("disconnect", "stall", "garbage"):
        return web.Response(body=body, content_type="application/json")
    if fault.kind == "garbage":
        return web.Response(body=body[: len(body) // 2], content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    await break_off(request, record, fault)
    return response


async def break_off(request: web.Request, record: RequestRecord, fault: FaultRule) -> None:
    """Close the connection once written data is sent, or keep it open and send nothing more (stall)."""
    if fault.kind == "stall":
        await asyncio.get_running_loop().create_future()
    record.finish("failed", 200)
    if request.transport is not None:
        request.transport.close()


def _broken(frames: list[bytes], fault: FaultRule | None) -> list[bytes]:
    if fault and fault.kind in ("disconnect", "stall"):
        return frames[: fault.cut_after()]
    if fault and fault.kind == "garbage":
        return [*frames[: fault.cut_after()], MALFORMED, *frames[fault.cut_after() :]]
    return frames


def _chunked(frame: bytes) -> bytes:
    """Add HTTP/1.1 chunk framing, because the pacer bypasses aiohttp's response writer."""
    return b"%x\r\n%b\r\n" % (len(frame), frame)
