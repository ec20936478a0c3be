"""The gateway against the simulator: answers, failures, retries, and the record of every call."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from pydantic import BaseModel, ConfigDict

from devstack.servers.stack import SIMULATOR_KEY
from llm.client import Llm
from llm.config import LlmConfig
from llm.errors import ErrorKind, LlmError
from llm.sdk import connect

MESSAGES = [{"role": "user", "content": "What is a primary key?"}]
CONFIG = LlmConfig(
    api_key=SIMULATOR_KEY,
    base_url="",
    chat_model="gpt-4.1-mini",
    fast_model="gpt-4.1-nano",
    embedding_model="text-embedding-3-small",
    first_token_timeout=0.6,
    token_gap_timeout=0.3,
)


class Gateway(Llm):
    """A gateway that keeps the records of its calls."""

    def __init__(self, config: LlmConfig) -> None:
        self.calls = []
        self.sdk = connect(config)
        super().__init__(self.sdk, config, self.calls.append)

    async def read(self) -> str:
        return "".join([piece async for piece in self.stream("answer", MESSAGES)])

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(call.outcome, call.error_code) for call in self.calls]


@pytest.fixture
async def llm(simulator) -> AsyncIterator[Gateway]:
    gateway = Gateway(replace(CONFIG, base_url=f"{simulator.url}/v1"))
    yield gateway
    await gateway.sdk.close()


async def test_streamed_answer_is_recorded_with_usage_price_and_times(llm):
    text = await llm.read()
    [call] = llm.calls
    assert text
    assert (call.purpose, call.model, call.outcome, call.estimated) == ("answer", "gpt-4.1-mini", "ok", False)
    assert call.input_tokens > 0 < call.output_tokens
    assert call.cost == (call.input_tokens * 4 + call.output_tokens * 16) / type(call.cost)(10_000_000)
    assert 0 < call.first_token_ms < call.duration_ms
    assert call.upstream_id


async def test_embeddings_come_in_order_over_several_batches(llm, simulator):
    texts = [f"passage number {n}" for n in range(130)]
    vectors = await llm.embed("ingestion", texts)
    assert len(vectors) == 130
    assert len(vectors[0]) == 1536
    [alone] = await llm.embed("ingestion", [texts[129]])
    assert sum(a * b for a, b in zip(alone, vectors[129], strict=True)) > 0.99
    assert [len(r["body"]["input"]) for r in simulator.requests()] == [128, 2, 1]


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: str
    score: int


async def test_structured_answer_is_an_instance_of_its_schema(llm):
    assert isinstance(await llm.parse("verdict", MESSAGES, Verdict), Verdict)


async def test_invalid_structured_answer_is_requested_again(llm, simulator):
    simulator.fault("invalid_json", times=1)
    assert isinstance(await llm.parse("verdict", MESSAGES, Verdict), Verdict)
    assert llm.outcomes == [("failed", "upstream_invalid"), ("ok", "")]


async def test_structured_answer_that_stays_invalid_is_requested_twice(llm, simulator):
    simulator.fault("invalid_json")
    with pytest.raises(LlmError) as failed:
        await llm.parse("verdict", MESSAGES, Verdict)
    assert failed.value.kind is ErrorKind.INVALID
    assert llm.outcomes == [("failed", "upstream_invalid")] * 2


@pytest.mark.parametrize("fault", ["500", "503"])
async def test_short_failure_is_retried_within_the_call(llm, simulator, fault):
    simulator.fault(fault, times=1)
    assert await llm.read()
    assert llm.outcomes == [("failed", "upstream_unavailable"), ("ok", "")]


async def test_retry_after_is_honoured(llm, simulator):
    simulator.fault("429", times=1, retryAfter=1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await llm.read()
    assert loop.time() - began >= 1.0


async def test_long_retry_after_ends_the_call(llm, simulator):
    simulator.fault("429", retryAfter=30)
    with pytest.raises(LlmError) as failure:
        await llm.read()
    assert (failure.value.kind, failure.value.retry_after) == (ErrorKind.RATE_LIMITED, 30)
    assert len(llm.calls) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("quota", ErrorKind.QUOTA),
        ("400", ErrorKind.BAD_REQUEST),
        ("401", ErrorKind.AUTH),
        ("refuse", ErrorKind.REFUSED),
        ("content_filter", ErrorKind.REFUSED),
    ],
)
async def test_permanent_failure_is_not_retried(llm, simulator, fault, kind):
    simulator.fault(fault)
    with pytest.raises(LlmError) as failure:
        await llm.read()
    assert failure.value.kind is kind
    assert not failure.value.passing
    assert llm.outcomes == [("failed", kind.value.code)]


async def test_slow_down_counts_as_busy(llm, simulator):
    simulator.fault("slow_down", retryAfter=20)
    with pytest.raises(LlmError) as failure:
        await llm.read()
    assert failure.value.kind is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("disconnect", ErrorKind.TRANSIENT), ("stall", ErrorKind.TRANSIENT), ("garbage", ErrorKind.GARBLED)],
)
async def test_stream_that_breaks_in_the_middle_fails_and_is_never_repeated(llm, simulator, fault, kind):
    simulator.fault(fault, afterTokens=5)
    shown = []
    with pytest.raises(LlmError) as failure:
        async for piece in llm.stream("answer", MESSAGES):
            shown.append(piece)
    assert failure.value.kind is kind
    assert shown
    [call] = llm.calls
    assert (call.outcome, call.estimated) == ("failed", True)
    assert call.output_tokens > 0
    assert len(simulator.requests()) == 1


async def test_pause_between_two_chunks_is_a_timeout(llm, simulator):
    simulator.fault("stall", afterTokens=5)
    with pytest.raises(LlmError) as failure:
        await llm.read()
    assert failure.value.kind is ErrorKind.TRANSIENT
    assert failure.value.detail.startswith("TimeoutError")
    assert llm.outcomes == [("failed", "upstream_unavailable")]


async def test_timeout_limits_neither_the_whole_stream_nor_a_slow_reader(llm, simulator):
    gap = llm.config.token_gap_timeout
    simulator.set(answer_tokens=10, token_interval=gap / 3)
    began, pieces = asyncio.get_running_loop().time(), 0
    async for _ in llm.stream("answer", MESSAGES):
        pieces += 1
        if pieces == 2:
            await asyncio.sleep(gap * 1.5)
    assert asyncio.get_running_loop().time() - began > gap * 2
    assert llm.outcomes == [("ok", "")]


async def test_cancellation_while_a_stream_is_silent_stays_a_cancellation(llm, simulator):
    simulator.fault("stall", afterTokens=5)
    silent = replace(llm.config, token_gap_timeout=60)
    reader, is_reading = Llm(llm.sdk, silent, llm.calls.append), asyncio.Event()

    async def read():
        async for _ in reader.stream("answer", MESSAGES):
            is_reading.set()

    reading = asyncio.create_task(read())
    await is_reading.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert llm.outcomes == [("cancelled", "")]


async def test_upstream_that_never_answers_times_out(llm, simulator):
    simulator.fault("hang")
    with pytest.raises(LlmError) as failure:
        await llm.read()
    assert failure.value.kind is ErrorKind.TRANSIENT
    assert [outcome for outcome, _ in llm.outcomes] == ["failed"] * 3


@pytest.mark.parametrize("call", [Gateway.read, lambda llm: llm.text("rewrite", MESSAGES)], ids=["streamed", "whole"])
async def test_call_that_got_no_answer_in_time_is_booked_by_estimate(llm, simulator, call):
    """The provider has probably worked on it, and bills it."""
    simulator.fault("hang")
    with pytest.raises(LlmError):
        await call(llm)
    for made in llm.calls:
        assert (made.estimated, made.input_tokens, made.output_tokens) == (True, 6, 0)
        assert made.cost > 0


@pytest.mark.parametrize("call", [Gateway.read, lambda llm: llm.text("rewrite", MESSAGES)], ids=["streamed", "whole"])
@pytest.mark.parametrize("trouble", ["400", "401", "429", "500", "down", "nobody there"])
async def test_call_that_was_refused_or_never_arrived_is_free(llm, simulator, call, trouble):
    if trouble == "down":
        simulator.set(down=True)
    elif trouble == "nobody there":
        llm.sdk.base_url = "http://127.0.0.1:1/v1"
    else:
        simulator.fault(trouble, retryAfter=10)
    with pytest.raises(LlmError):
        await call(llm)
    assert {(made.input_tokens, made.output_tokens, made.cost, made.estimated) for made in llm.calls} == {
        (0, 0, 0, False)
    }


async def test_chinese_text_is_estimated_by_its_characters(llm, simulator):
    chunk = json.dumps({"choices": [{"delta": {"content": "学" * 600}}]})
    simulator.fault("raw", body=f"data: {chunk}\n\ndata: {chunk}\n\n")
    stream = llm.stream("answer", [{"role": "user", "content": "什么是主键呢"}])
    await anext(stream)
    await stream.aclose()
    [call] = llm.calls
    assert (call.outcome, call.input_tokens) == ("cancelled", 6)
    assert call.output_tokens in (600, 1200)  # depends on how the network cuts it


async def test_upstream_that_is_down_is_a_transient_failure(llm, simulator):
    simulator.set(down=True)
    with pytest.raises(LlmError) as failure:
        await llm.embed("embedding", ["x"])
    assert failure.value.kind is ErrorKind.TRANSIENT


async def test_stream_left_early_is_closed_and_billed_by_estimate(llm, simulator):
    simulator.set(token_interval=0.05)
    stream = llm.stream("answer", MESSAGES)
    await anext(stream)
    await stream.aclose()
    [call] = llm.calls
    assert (call.outcome, call.estimated) == ("cancelled", True)
    assert call.cost > 0


async def test_cancelled_call_is_recorded_and_noticed_by_the_upstream(llm, simulator):
    simulator.set(token_interval=0.05)
    reading = asyncio.create_task(llm.read())
    while not any(r["first_token_at"] for r in simulator.requests()):
        await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert llm.outcomes == [("cancelled", "")]
    async with asyncio.timeout(1):
        while not simulator.counters["aborted"]:
            await asyncio.sleep(0.01)


async def test_error_about_a_wrong_key_does_not_contain_it(simulator):
    llm = Gateway(replace(CONFIG, base_url=f"{simulator.url}/v1", api_key="sk-wrong-1234567890abcdef"))
    with pytest.raises(LlmError) as failure:
        await llm.read()
    await llm.sdk.close()
    assert failure.value.kind is ErrorKind.AUTH
    assert "sk-" not in failure.value.detail
    assert "cdef" not in failure.value.detail
