"""What the governor learns from calls, for all workers: refusals, reported usage, the upstream's limits."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
from pydantic import BaseModel, ConfigDict

from llm import breaker
from llm.breaker import Breakers
from llm.client import Llm, Traffic
from llm.errors import ErrorKind, LlmError
from llm.governor import Caller, Governor, Limits
from llm.sdk import connect
from tests.llm.breaking import fail
from tests.llm.test_client import CONFIG, MESSAGES

PLENTY = 10**9
TEN_A_SECOND = Limits(requests=600, tokens=PLENTY)  # burst of sixty


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: str


async def streamed(llm, **more):
    return "".join([piece async for piece in llm.stream("answer", MESSAGES, **more)])


async def left_early(llm, **more):
    async with aclosing(llm.stream("answer", MESSAGES, **more)) as stream:
        await anext(stream)


async def whole(llm, **more):
    return await llm.text("rewrite", MESSAGES, **more)


async def structured(llm, **more):
    return await llm.parse("verdict", MESSAGES, Verdict, **more)


async def embedded(llm):
    return await llm.embed("embedding", ["a passage"])


CALLS = [
    (streamed, CONFIG.chat_model),
    (whole, CONFIG.fast_model),
    (structured, CONFIG.fast_model),
    (embedded, CONFIG.embedding_model),
]
every_call = pytest.mark.parametrize(("call", "model"), CALLS, ids=[call.__name__ for call, _ in CALLS])


@pytest.fixture
async def through(simulator, redis):
    """Creates gateways that use this governor."""
    config = replace(CONFIG, base_url=f"{simulator.url}/v1", first_token_timeout=5.0)
    client = connect(config)
    yield lambda governor, record=[].append: Llm(client, config, record, Traffic(governor, Breakers(redis)))
    await client.close()


@pytest.fixture
def no_retries(monkeypatch):
    """Refused calls are not retried, however short the pause that the upstream asks for."""
    monkeypatch.setattr("llm.retry.LONGEST_WAIT", 0.0)


async def longest_wait(governor, model, times):
    """The longest of several waits that start together."""
    return max(await asyncio.gather(*(governor.permit(model, Caller(), 1) for _ in range(times))))


@every_call
async def test_refusal_pauses_other_workers_too(redis, through, simulator, no_retries, call, model):
    simulator.fault("429", endpoint="*", times=1, retryAfter=1)
    with pytest.raises(LlmError) as refused:
        await call(through(Governor(redis, TEN_A_SECOND)))
    assert refused.value.kind is ErrorKind.RATE_LIMITED
    other = Governor(redis, TEN_A_SECOND)
    async with asyncio.timeout(3):
        assert await other.permit(model, Caller(), 1) > 0.5


@every_call
async def test_refusal_without_retry_after_pauses_calls_for_a_second(redis, through, simulator, call, model):
    simulator.fault("429", endpoint="*", times=1)
    llm = through(Governor(redis, TEN_A_SECOND))
    await call(llm)
    assert 0.2 < llm.waited < 1.1  # it asks again after half a second at most


@pytest.mark.parametrize(("call", "model"), CALLS[:2], ids=["streamed", "whole"])
@pytest.mark.parametrize("fault", ["500", "400", "quota"])
async def test_other_failures_do_not_pause_calls(redis, through, simulator, fault, call, model):
    simulator.fault(fault)
    governor = Governor(redis, TEN_A_SECOND)
    with pytest.raises(LlmError):
        await call(through(governor))
    assert await governor.permit(model, Caller(), 1) < 0.1


@pytest.mark.parametrize(("fault", "is_gentle"), [("slow_down", True), ("429", False)])
async def test_only_slow_down_halves_the_rate(redis, through, simulator, no_retries, fault, is_gentle):
    simulator.fault(fault, times=1, retryAfter=0.01)
    with pytest.raises(LlmError):
        await streamed(through(Governor(redis, TEN_A_SECOND)))
    other = Governor(redis, TEN_A_SECOND)
    waited = await longest_wait(other, CONFIG.chat_model, 40)  # at half the rate: a burst of thirty, then five a second
    assert (waited > 1) is is_gentle


@pytest.mark.parametrize(
    ("call", "model"),
    [(streamed, CONFIG.chat_model), (left_early, CONFIG.chat_model), (whole, CONFIG.fast_model)],
    ids=["streamed", "left early", "whole"],
)
async def test_unused_tokens_are_returned(redis, through, simulator, call, model):
    simulator.set(answer_tokens=20, tokens_per_minute=60_000)  # burst of 6000, then 1000 a second
    governor = Governor(redis, Limits(requests=PLENTY, tokens=60_000))
    await call(through(governor), max_tokens=20_000)  # expected to use 5000
    assert await governor.permit(model, Caller(), 5000) < 1


@every_call
async def test_limits_are_learned_from_answers_for_all_workers(redis, through, call, model):
    one_a_second = Limits(requests=60, tokens=6000)
    await call(through(Governor(redis, one_a_second)))
    async with asyncio.timeout(3):
        assert await longest_wait(Governor(redis, one_a_second), model, 40) < 1


async def test_stream_cancelled_during_a_redis_command_is_closed_and_recorded(redis, slow_redis, through, simulator):
    simulator.set(first_token=0.3, token_interval=0.05)
    slow, replies = slow_redis
    calls = []
    reading = asyncio.create_task(streamed(through(Governor(slow, TEN_A_SECOND), calls.append)))
    async with asyncio.timeout(5):
        while not simulator.requests():
            await asyncio.sleep(0.01)
        replies.clear()
        while not await redis.hexists(f"governor:{{{CONFIG.chat_model}}}:bucket", "limit_requests"):
            await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        while not simulator.counters["aborted"]:
            await asyncio.sleep(0.01)
    assert [call.outcome for call in calls] == ["cancelled"]


async def test_call_records_how_long_it_waited_for_its_permit(redis, through, simulator):
    simulator.set(answer_tokens=5)
    calls = []
    governor = Governor(redis, TEN_A_SECOND)
    await governor.close_for(CONFIG.chat_model, 1, gently=False)
    llm = through(governor, calls.append)
    assert await streamed(llm)
    [call] = calls
    assert 0.5 < llm.waited < 2
    assert call.governor_ms == pytest.approx(llm.waited * 1000, abs=50)
    assert call.duration_ms < call.governor_ms


async def queued(redis, model, count):
    async with asyncio.timeout(5):
        while await redis.zcard(f"governor:{{{model}}}:queue:2") < count:
            await asyncio.sleep(0.005)


async def drained(redis, model):
    """A governor whose burst is used up."""
    governor = Governor(redis, TEN_A_SECOND)
    await asyncio.gather(*(governor.permit(model, Caller(0, "drain"), 1) for _ in range(60)))
    return governor


@every_call
async def test_calls_that_wait_for_the_rate_do_not_reach_an_upstream_that_went_down(
    redis, through, simulator, call, model
):
    governor = await drained(redis, model)
    await governor.close_for(model, 2, gently=False)
    calls = [asyncio.create_task(call(through(governor))) for _ in range(30)]
    await queued(redis, model, 30)
    await fail(Breakers(redis), model)
    results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert {(error.kind, error.model) for error in results} == {(ErrorKind.PAUSED, model)}
    assert simulator.requests() == []
    await governor.permit(model, Caller(), 1)
    assert float(await redis.hget(f"governor:{{{model}}}:bucket", "requests")) > 15  # the permits went back


@every_call
async def test_no_call_queues_for_an_upstream_that_is_down(redis, through, call, model):
    governor = await drained(redis, model)
    await governor.close_for(model, 60, gently=False)
    await fail(Breakers(redis), model)
    llm = through(governor)
    with pytest.raises(LlmError) as held_back:
        await asyncio.wait_for(call(llm), 5)
    assert (held_back.value.kind, llm.waited) == (ErrorKind.PAUSED, 0)
    assert await redis.zcard(f"governor:{{{model}}}:queue:2") == 0


async def test_call_is_no_probe_while_it_waits_for_the_rate(redis, through, simulator, probes_at_once):
    model = CONFIG.fast_model
    await fail(Breakers(redis), model)
    governor = Governor(redis, TEN_A_SECOND)
    await governor.close_for(model, 0.5, gently=False)
    waiting = asyncio.create_task(whole(through(governor)))
    await queued(redis, model, 1)
    assert await breaker.state_of(redis, model) == "opened"
    assert await waiting
    assert await breaker.state_of(redis, model) == "closed"


async def test_longer_of_two_simultaneous_waits_counts(through, redis):
    governor = Governor(redis, TEN_A_SECOND)
    llm = through(governor)
    await governor.close_for(CONFIG.fast_model, 0.6, gently=False)
    await asyncio.gather(whole(llm), embedded(llm))
    assert 0.5 < llm.waited < 1.5
