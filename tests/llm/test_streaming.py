"""Reading an event stream: split anywhere, failing anywhere, in batches."""

import asyncio
import json
import time

import pytest

from llm import streaming
from llm.calls import Call
from llm.errors import ErrorKind, LlmError

DONE = b"data: [DONE]\n\n"


def event(text):
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


FAILURE = b'data: {"error": {"code": "server_error", "message": "overloaded"}}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}\n\n'


async def read(*chunks):
    """(the pieces, what was raised after them, the call)"""

    async def arriving():
        for chunk in chunks:
            yield chunk

    call, pieces = Call("answer", "gpt-4.1-mini", ""), []
    try:
        async for piece in streaming._pieces(arriving(), call):
            pieces.append(piece)
    except LlmError as failure:
        return pieces, failure, call
    return pieces, None, call


async def test_tokens_of_one_read_are_one_piece():
    pieces, failure, call = await read(event("Hel") + event("lo"), event(" you") + USAGE + DONE)
    assert (pieces, failure) == (["Hello", " you"], None)
    assert (call.input_tokens, call.output_tokens) == (7, 3)


@pytest.mark.parametrize("size", [1, 2, 7, 50])
async def test_a_stream_may_be_split_at_any_byte(size, monkeypatch):
    monkeypatch.setattr(streaming, "REST_SECONDS", 0)
    whole = event("Grüße, ") + event("Welt") + DONE
    pieces, failure, _ = await read(*[whole[at : at + size] for at in range(0, len(whole), size)])
    assert ("".join(pieces), failure) == ("Grüße, Welt", None)


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (FAILURE, ErrorKind.TRANSIENT),
        (b"data: {garbage\n\n", ErrorKind.GARBLED),
        (b'data: {"choices": [{"finish_reason": "length"', ErrorKind.GARBLED),
    ],
)
async def test_text_before_a_failure_in_the_same_read_is_shown(trouble, kind):
    pieces, failure, _ = await read(event("Hello") + trouble)
    assert pieces == ["Hello"]
    assert failure.kind is kind


async def test_nothing_is_read_after_a_failure():
    pieces, failure, _ = await read(event("a") + FAILURE + event("b") + DONE, event("c"))
    assert (pieces, failure.kind) == (["a"], ErrorKind.TRANSIENT)


async def test_a_stream_without_an_end_mark_has_failed():
    pieces, failure, _ = await read(event("Hello"))
    assert (pieces, failure.kind) == (["Hello"], ErrorKind.GARBLED)


async def test_a_stream_that_says_why_it_ends_needs_no_end_mark():
    """llama.cpp and others have ended streams so."""
    end = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
    assert (await read(event("Hello") + end))[:2] == (["Hello"], None)
    assert (await read(event("Hello"), end.strip()))[:2] == (["Hello"], None)


async def test_the_end_mark_needs_no_line_break():
    assert (await read(event("Hello"), b"data: [DONE]"))[:2] == (["Hello"], None)


async def test_tokens_are_batched_between_reads_and_the_first_is_not_delayed():
    """One token per millisecond; they are read a few dozen at a time."""
    arrived = asyncio.Queue()

    async def write():
        for n in range(150):
            arrived.put_nowait(event(f" {n}"))
            await asyncio.sleep(0.001)
        arrived.put_nowait(DONE)

    async def arriving():
        while True:
            chunk = await arrived.get()
            while not arrived.empty():
                chunk += arrived.get_nowait()
            yield chunk

    began, moments, pieces = time.monotonic(), [], []
    writing = asyncio.create_task(write())
    async for piece in streaming._pieces(arriving(), Call("answer", "gpt-4.1-mini", "")):
        moments.append(time.monotonic() - began)
        pieces.append(piece)
    await writing
    assert "".join(pieces) == "".join(f" {n}" for n in range(150))
    assert pieces[0] == " 0" and moments[0] < streaming.REST_SECONDS
    assert len(pieces) <= 3 + (time.monotonic() - began) / streaming.REST_SECONDS
