"""Whatever the upstream replies, a call fails with one clear kind, leaves one record, and its connection is closed."""

import asyncio
import base64
import gzip
import json
from array import array
from dataclasses import replace

import pytest
from aiohttp import web

from llm import streaming
from llm.breaker import THRESHOLD, Breakers, blocks, state_of
from llm.client import Llm, Traffic
from llm.errors import ErrorKind, LlmError
from llm.governor import Governor
from tests.llm.test_client import CONFIG, MESSAGES, Gateway, Verdict

USAGE = {"prompt_tokens": 7, "completion_tokens": 3}


@pytest.fixture
async def llm(simulator):
    gateway = Gateway(replace(CONFIG, base_url=f"{simulator.url}/v1", embedding_dimensions=4))
    yield gateway
    await gateway.sdk.close()


def open_connections(llm):
    """The connections of the client that no call has returned."""
    connector = llm.sdk._client._transport.client.connector
    return len(connector._acquired)


def whole(message=None, **more):
    return {"choices": [{"message": message or {"content": "fine"}, "finish_reason": "stop"}], "usage": USAGE, **more}


def as_body(value):
    return value if isinstance(value, str) else json.dumps(value)


async def failure_of(llm, call):
    """The failure of a call, after checking its record and its connection."""
    with pytest.raises(LlmError) as failed:
        await call
    error, [record] = failed.value, llm.calls
    assert (record.outcome, record.error_code) == ("failed", error.kind.value.code)
    assert record.error_detail == error.detail != ""
    assert len(error.detail) <= 300
    assert record.output_tokens >= 0 <= record.input_tokens
    assert open_connections(llm) == 0
    return error


ONE = {"object": "embedding", "index": 0, "embedding": [0.5] * 4}
NO_JSON = {
    "empty": "",
    "blank": "  \n",
    "html": "<html><body>502 Bad Gateway</body></html>",
    "cut": '{"choices": [{"message": {"content": "hal',
    "not utf-8": '{"choices": "\xff\xfe"}',
    "nested": "[" * 100_000,
    "null": None,
    "number": 42,
    "boolean": True,
    "string": "not found",
    "list": [],
    "list of objects": [{"choices": []}],
}
NO_ANSWER = NO_JSON | {
    "empty object": {},
    "error text": {"error": "text"},
    "error list": {"error": ["text", 1]},
    "error number": {"error": 1},
    "error without code": {"error": {"message": "some trouble"}},
    "choices null": {"choices": None},
    "choices empty": {"choices": []},
    "choices object": {"choices": {"0": {}}},
    "choices text": {"choices": "text"},
    "choice null": {"choices": [None]},
    "choice text": {"choices": ["text"]},
    "message missing": {"choices": [{"text": "legacy"}]},
    "message null": {"choices": [{"message": None}]},
    "message text": {"choices": [{"message": "text"}]},
    "content number": whole({"content": 5}),
    "content object": whole({"content": {"text": "x"}}),
    "content list of numbers": whole({"content": [1]}),
}


@pytest.mark.parametrize("reply", NO_ANSWER.values(), ids=NO_ANSWER)
async def test_whole_answer_of_an_unforeseen_shape(llm, simulator, reply):
    simulator.fault("raw", body=as_body(reply))
    error = await failure_of(llm, llm.text("rewrite", MESSAGES))
    assert error.kind is ErrorKind.GARBLED
    assert len(simulator.requests()) == 1, "an answer that was probably paid is not requested again in the call"


NO_VECTORS = NO_JSON | {
    "data missing": {},
    "data null": {"data": None},
    "data object": {"data": {"0": ONE}},
    "too few": {"data": []},
    "too many": {"data": [ONE, ONE | {"index": 1}]},
    "entry null": {"data": [None]},
    "embedding missing": {"data": [{"index": 0}]},
    "embedding null": {"data": [ONE | {"embedding": None}]},
    "embedding of texts": {"data": [ONE | {"embedding": ["a", "b", "c", "d"]}]},
    "embedding of lists": {"data": [ONE | {"embedding": [[1.0]] * 4}]},
    "too narrow": {"data": [ONE | {"embedding": [1.0] * 3}]},
    "too wide": {"data": [ONE | {"embedding": [1.0] * 5}]},
    "not a number": '{"data": [{"index": 0, "embedding": [NaN, 1, 1, 1]}]}',
    "infinite": '{"data": [{"index": 0, "embedding": [1e999, 1, 1, 1]}]}',
    "no base64": {"data": [ONE | {"embedding": "!!!"}]},
    "base64 of half a number": {"data": [ONE | {"embedding": base64.b64encode(b"12345").decode()}]},
    "base64 of NaN": {"data": [ONE | {"embedding": base64.b64encode(array("f", [float("nan")] * 4)).decode()}]},
    "index text": {"data": [ONE | {"index": "0"}]},
    "index of another text": {"data": [ONE | {"index": 1}]},
}


@pytest.mark.parametrize("reply", NO_VECTORS.values(), ids=NO_VECTORS)
async def test_embeddings_of_an_unforeseen_shape(llm, simulator, reply):
    simulator.fault("raw", endpoint="embeddings", body=as_body(reply))
    assert (await failure_of(llm, llm.embed("embedding", ["x"]))).kind is ErrorKind.GARBLED


def event(value):
    return f"data: {as_body(value)}\n\n"


def chunk(text):
    return event({"choices": [{"delta": {"content": text}}]})


DONE = "data: [DONE]\n\n"
NO_STREAM = {
    "null": event(None),
    "number": event(1),
    "text": event('"text"'),
    "list": event([1]),
    "no json": event("{"),
    "not utf-8": 'data: {"choices": "\xff"}\n\n',
    "error text": event({"error": "text"}),
    "error list": event({"error": [1]}),
    "choices text": event({"choices": "text"}),
    "choices object": event({"choices": {"a": 1}}),
    "choice null": event({"choices": [None]}),
    "delta text": event({"choices": [{"delta": "text"}]}),
    "content number": event({"choices": [{"delta": {"content": 1}}]}),
}


@pytest.mark.parametrize("has_text", [False, True], ids=["at first", "after text"])
@pytest.mark.parametrize("trouble", NO_STREAM.values(), ids=NO_STREAM)
async def test_chunk_of_an_unforeseen_shape(llm, simulator, trouble, has_text):
    simulator.fault("raw", body=(chunk("Hello") if has_text else "") + trouble + DONE)
    error = await failure_of(llm, llm.read())
    assert error.kind is ErrorKind.GARBLED
    assert len(simulator.requests()) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", ErrorKind.GARBLED),
        ("<html></html>", ErrorKind.GARBLED),
        (json.dumps({"error": {"code": "server_error"}}), ErrorKind.GARBLED),
        (chunk("Hello"), ErrorKind.GARBLED),
        (DONE, ErrorKind.INVALID),
        (event({"choices": [{"delta": None, "finish_reason": "length"}]}) + DONE, ErrorKind.INVALID),
        (event({"choices": []}) + event({"choices": None}) + event({}) + DONE, ErrorKind.INVALID),
        (event({"error": {"code": "server_error", "message": "overloaded"}}), ErrorKind.TRANSIENT),
        (event({"error": {"code": 503, "message": "overloaded"}}), ErrorKind.TRANSIENT),
        (event({"error": {"code": "429"}}), ErrorKind.RATE_LIMITED),
        (event({"error": {"code": 400, "type": "BadRequestError"}}), ErrorKind.BAD_REQUEST),
        (event({"error": {"code": "insufficient_quota"}}), ErrorKind.QUOTA),
    ],
)
async def test_stream_without_an_answer(llm, simulator, body, kind):
    simulator.fault("raw", times=1, body=body)
    if kind.value.passing and kind is not ErrorKind.GARBLED:
        await llm.read()  # repeated within the call
        assert llm.outcomes == [("failed", kind.value.code), ("ok", "")]
    else:
        assert (await failure_of(llm, llm.read())).kind is kind


async def test_line_without_an_end_is_bounded(llm, simulator):
    simulator.fault("raw", body="data: " + "x" * 3 * streaming.LONGEST_LINE)
    error = await failure_of(llm, llm.read())
    assert "a line of the stream" in error.detail


async def test_whole_answer_is_bounded(llm, simulator, monkeypatch):
    monkeypatch.setattr("llm.client.LARGEST_ANSWER", 1000)
    simulator.fault("raw", body=json.dumps(whole({"content": "x" * 3_000_000})))
    assert (await failure_of(llm, llm.text("rewrite", MESSAGES))).kind is ErrorKind.GARBLED


@pytest.mark.parametrize("call", ["text", "stream"])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"status": 204}, ErrorKind.GARBLED),
        ({"headers": {"Content-Encoding": "gzip"}, "body": "this is not gzip"}, ErrorKind.GARBLED),
        ({"status": 302}, ErrorKind.AUTH),
        ({"status": 404, "body": "<html>not found</html>"}, ErrorKind.BAD_REQUEST),
        ({"status": 400, "body": "[1, 2]"}, ErrorKind.BAD_REQUEST),
        ({"status": 400, "body": "null"}, ErrorKind.BAD_REQUEST),
        ({"status": 400, "body": '{"error": "text"}'}, ErrorKind.BAD_REQUEST),
        ({"status": 400, "body": '{"error": {"code": ["a"], "message": {"b": 1}}}'}, ErrorKind.BAD_REQUEST),
        ({"status": 400, "body": "\xff\xfe" * 500_000}, ErrorKind.BAD_REQUEST),
        ({"status": 402, "headers": {"Content-Encoding": "gzip"}, "body": "broken"}, ErrorKind.BAD_REQUEST),
    ],
    ids=str,
)
async def test_status_and_headers_of_any_kind(llm, simulator, call, reply, kind):
    simulator.fault("raw", **reply)
    assert (await failure_of(llm, llm.text("rewrite", MESSAGES) if call == "text" else llm.read())).kind is kind


async def test_redirect_to_a_page_is_no_answer(llm, simulator):
    simulator.fault("raw", status=302, headers={"Location": f"{simulator.url}/control"})
    assert (await failure_of(llm, llm.text("rewrite", MESSAGES))).kind is ErrorKind.GARBLED


@pytest.mark.parametrize(
    "wait", ["nan", "inf", "-5", "1e999", "never", "9" * 300, "Wed, 21 Oct 2015 07:28:00 -0000", "", "0"]
)
async def test_any_retry_after_is_survived(llm, simulator, wait):
    simulator.fault("raw", status=429, times=1, headers={"Retry-After": wait})
    try:
        await llm.text("rewrite", MESSAGES)
    except LlmError as error:
        assert error.retry_after is not None and 4 < error.retry_after <= 86400
    assert llm.outcomes[0] == ("failed", "upstream_busy")


COUNTS = [None, "12", "many", -5, 2.5, 10**30, 2**31, True, [], {}, float("1e300")]


@pytest.mark.parametrize("count", COUNTS, ids=repr)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_usage_that_is_no_number_is_estimated(llm, simulator, count, streamed):
    usage = {"prompt_tokens": count, "completion_tokens": count, "prompt_tokens_details": {"cached_tokens": count}}
    answer = whole({"content": "x" * 40}, usage=usage)
    body = chunk("x" * 40) + event({"choices": [], "usage": usage}) + DONE if streamed else json.dumps(answer)
    simulator.fault("raw", body=body)
    assert await (llm.read() if streamed else llm.text("rewrite", MESSAGES)) == "x" * 40
    [call] = llm.calls
    assert (call.estimated, call.output_tokens, call.cached_tokens) == (True, 10, 0)
    assert call.input_tokens == 6  # MESSAGES without the JSON around them
    assert call.cost > 0


@pytest.mark.parametrize("usage", [None, "text", 5, [], {"prompt_tokens_details": "text"}], ids=repr)
async def test_usage_of_another_shape_is_estimated(llm, simulator, usage):
    simulator.fault("raw", body=json.dumps(whole(usage=usage)))
    assert await llm.text("rewrite", MESSAGES) == "fine"
    [call] = llm.calls
    assert (call.outcome, call.estimated, call.input_tokens) == ("ok", True, 6)


async def test_cached_tokens_never_exceed_the_prompt(llm, simulator):
    usage = USAGE | {"prompt_tokens_details": {"cached_tokens": 5000}}
    simulator.fault("raw", body=json.dumps(whole(usage=usage)))
    await llm.text("rewrite", MESSAGES)
    [call] = llm.calls
    assert (call.input_tokens, call.cached_tokens) == (7, 7)
    assert call.cost > 0


async def test_vectors_are_ordered_by_their_index(llm, simulator):
    data = [{"index": n, "embedding": [float(n)] * 4} for n in (2, 0, 1)]
    simulator.fault("raw", endpoint="embeddings", body=json.dumps({"data": data}))
    assert await llm.embed("embedding", ["a", "b", "c"]) == [[0.0] * 4, [1.0] * 4, [2.0] * 4]


async def test_content_may_be_a_list_of_parts(llm, simulator):
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "fine"}, " indeed"]
    simulator.fault("raw", times=1, body=json.dumps(whole({"content": parts})))
    assert await llm.text("rewrite", MESSAGES) == "fine indeed"
    simulator.fault("raw", times=1, body=event({"choices": [{"delta": {"content": parts}}]}) + DONE)
    assert await llm.read() == "fine indeed"


async def test_compressed_answer_is_read(llm, simulator):
    body = gzip.compress(json.dumps(whole()).encode()).decode("latin-1")
    simulator.fault("raw", headers={"Content-Encoding": "gzip"}, body=body)
    assert await llm.text("rewrite", MESSAGES) == "fine"


HALF, OTHER_HALF = "\ud83d", "\ude00"


async def test_texts_that_postgres_refuses_are_cleaned(llm, simulator):
    simulator.fault("raw", times=1, body=chunk("a\0b") + chunk(HALF) + chunk(f"{OTHER_HALF} c{OTHER_HALF}") + DONE)
    assert await llm.read() == "ab\N{GRINNING FACE} c"
    simulator.fault("raw", times=1, body=json.dumps(whole({"content": f"a\0{HALF}{OTHER_HALF}{HALF}"})))
    assert await llm.text("rewrite", MESSAGES) == "a\N{GRINNING FACE}"
    verdict = json.dumps({"label": f"x\0{HALF}y", "score": 1})
    simulator.fault("raw", times=1, body=json.dumps(whole({"content": verdict})))
    assert await llm.parse("verdict", MESSAGES, Verdict) == Verdict(label="xy", score=1)


@pytest.mark.parametrize("content", ['{"label": "x", "score": 1e999}', "[" * 100_000, "", '"\xff', "NaN", None])
async def test_structured_content_that_is_no_json_is_invalid(llm, simulator, content):
    simulator.fault("raw", body=json.dumps(whole({"content": content})))
    with pytest.raises(LlmError) as failed:
        await llm.parse("verdict", MESSAGES, Verdict)
    assert failed.value.kind is ErrorKind.INVALID
    assert llm.outcomes == [("failed", "upstream_invalid")] * 2


async def test_error_texts_are_cleaned_and_without_keys(llm, simulator):
    key = llm.config.api_key
    error = {"error": {"message": f"Not allowed\0: {HALF} {key} and api-key: abcdef1234", "code": "x"}}
    simulator.fault("raw", status=400, body=json.dumps(error))
    detail = (await failure_of(llm, llm.text("rewrite", MESSAGES))).detail
    assert "Not allowed" in detail
    assert not {key, "abcdef1234", "\0", HALF} & {part for part in (key, "abcdef1234", "\0", HALF) if part in detail}


async def test_unsupported_answers_do_not_open_the_breaker(redis, simulator, model):
    """The upstream answers everything with HTTP 200, so it is up: one model's setting must not stop the others."""
    config = replace(CONFIG, base_url=f"{simulator.url}/v1", chat_model=model, fast_model=model)
    gateway = Gateway(config)
    llm = Llm(gateway.sdk, config, gateway.calls.append, Traffic(Governor(redis), Breakers(redis)))
    simulator.fault("raw", body=chunk("Hello"))
    simulator.fault("raw", body='{"error": "text"}')
    for _ in range(THRESHOLD + 1):
        with pytest.raises(LlmError):
            await llm.text("rewrite", MESSAGES)
        with pytest.raises(LlmError):
            async for _ in llm.stream("answer", MESSAGES):
                pass
    assert not blocks(await state_of(redis, model))
    await gateway.sdk.close()


async def test_stream_that_goes_on_without_text_shows_that_the_upstream_is_up(llm):
    """A model that reasons for minutes, for instance: the breaker stays closed, and the time is probably billed."""

    async def reason(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(event({"choices": [{"delta": {"reasoning_content": "hm"}}]}).encode())
            await asyncio.sleep(0.05)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", reason)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gateway = Gateway(replace(CONFIG, base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1"))
    error = await failure_of(gateway, gateway.read())
    assert error.kind is ErrorKind.GARBLED
    assert gateway.calls[0].estimated and gateway.calls[0].input_tokens == 6
    await gateway.sdk.close()
    await runner.cleanup()


OK = b"HTTP/1.1 200 OK\r\n"
WIRE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": b"",
    "half a status": b"HTTP/1.1 2",
    "status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "status 999": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "endless header": OK + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
    "lengths that differ": OK + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
    "negative length": OK + b"Content-Length: -5\r\n\r\nhello",
    "body cut short": OK + b"Content-Length: 500\r\n\r\n{",
    "no chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "chunk cut short": OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\ndata: ",
    "unknown charset": OK + b"Content-Type: text/html; charset=klingon\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    "request id of odd bytes": OK + b"x-request-id: \xff\xfe" + b"r" * 200 + b"\r\nContent-Length: 2\r\n\r\n[]",
}


@pytest.mark.parametrize("call", [Gateway.read, lambda llm: llm.text("rewrite", MESSAGES)], ids=["streamed", "whole"])
@pytest.mark.parametrize("sent", WIRE.values(), ids=WIRE)
async def test_whatever_is_on_the_wire(call, sent, monkeypatch):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.close()

    monkeypatch.setattr("llm.retry.LONGEST_WAIT", 0.01)
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        gateway = Gateway(replace(CONFIG, base_url=f"http://127.0.0.1:{port}/v1"))
        with pytest.raises(LlmError) as failed:
            await call(gateway)
        assert failed.value.kind in (ErrorKind.TRANSIENT, ErrorKind.GARBLED)
        assert set(gateway.outcomes) == {("failed", failed.value.kind.value.code)}
        assert "unforeseen" not in failed.value.detail
        assert open_connections(gateway) == 0
        await gateway.sdk.close()
