"""The rate governor on a real Redis: priority, fairness between people, the upstream's limits."""

import asyncio
import time

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from llm.governor import Caller, Governor, Limits

PLENTY = 10**9


@pytest.fixture
def governor(redis) -> Governor:
    """Ten requests a second, with a burst of sixty."""
    return Governor(redis, Limits(requests=600, tokens=PLENTY))


async def drain(governor, model, requests=60):
    """Use up the burst, so that the next calls have to wait."""
    await asyncio.gather(*(governor.permit(model, Caller(0, "drain"), 1) for _ in range(requests)))


async def order_of(governor, model, callers, tokens=1):
    """The callers' names in the order in which they are served after asking concurrently."""
    served = []

    async def ask(caller):
        await governor.permit(model, caller, tokens)
        served.append(caller.flow)

    await asyncio.gather(*(ask(caller) for caller in callers))
    return served


async def test_call_within_the_burst_does_not_wait(governor, model):
    assert await governor.permit(model, Caller(), 10) < 0.1


async def test_requests_go_out_at_the_allowed_rate(governor, model):
    await drain(governor, model)
    began = time.monotonic()
    await asyncio.gather(*(governor.permit(model, Caller(), 1) for _ in range(10)))
    assert 0.8 < time.monotonic() - began < 1.6


async def test_tokens_are_limited_too(redis, model):
    governor = Governor(redis, Limits(requests=PLENTY, tokens=60_000))  # 1000 a second, burst of 6000
    await governor.permit(model, Caller(), 6000)
    assert 0.4 < await governor.permit(model, Caller(), 500) < 1.0


async def test_call_larger_than_the_burst_is_let_through_when_the_bucket_is_full(redis, model):
    governor = Governor(redis, Limits(requests=PLENTY, tokens=60_000))
    async with asyncio.timeout(1):
        await governor.permit(model, Caller(), 50_000)


async def test_higher_priority_is_served_first(governor, model):
    await drain(governor, model)
    callers = [Caller(2, "low")] * 3 + [Caller(1, "mid")] * 3 + [Caller(0, "high")] * 3
    assert await order_of(governor, model, callers) == ["high"] * 3 + ["mid"] * 3 + ["low"] * 3


async def test_lower_priority_leaves_a_reserve_for_questions(governor, model):
    background = [asyncio.create_task(governor.permit(model, Caller(2, "batch"), 1)) for _ in range(100)]
    await asyncio.sleep(0.1)
    assert await governor.permit(model, Caller(0, "learner"), 1) < 0.1
    for task in background:
        task.cancel()


async def test_lower_priority_is_never_starved(redis, model):
    governor = Governor(redis, Limits(requests=6000, tokens=PLENTY))
    await drain(governor, model, 600)
    callers = [Caller(2, "batch")] * 2 + [Caller(0, "learner")] * 60
    served = await order_of(governor, model, callers)
    assert served.index("batch") <= 21


async def test_people_take_turns_within_a_priority(governor, model):
    await drain(governor, model)
    served = await order_of(governor, model, [Caller(0, "heavy")] * 20 + [Caller(0, "light")] * 2)
    assert max(place for place, who in enumerate(served) if who == "light") <= 4


async def test_two_processes_share_one_limit(redis, model):
    limits = Limits(requests=600, tokens=PLENTY)
    one, other = Governor(redis, limits), Governor(redis, limits)
    await drain(one, model)
    began = time.monotonic()
    served = await asyncio.gather(
        order_of(one, model, [Caller(0, "a")] * 8), order_of(other, model, [Caller(0, "b")] * 8)
    )
    assert time.monotonic() - began > 1.3
    assert [len(part) for part in served] == [8, 8]


async def test_calls_of_a_dead_process_are_skipped(redis, governor, model, monkeypatch):
    await drain(governor, model)
    monkeypatch.setattr("llm.governor.ALIVE_MS", 100)
    dead = Governor(redis, Limits(requests=600, tokens=PLENTY))
    asking = asyncio.create_task(dead.permit(model, Caller(0, "dead"), 1))
    await asyncio.sleep(0.02)
    dead._model(model)._agent.cancel()  # its process stops polling
    async with asyncio.timeout(2):
        await governor.permit(model, Caller(0, "alive"), 1)
    asking.cancel()


async def test_cancelled_call_gives_its_permit_back(redis, model):
    governor = Governor(redis, Limits(requests=60, tokens=PLENTY))  # one a second
    await drain(governor, model, 6)
    leaving = asyncio.create_task(governor.permit(model, Caller(), 1))
    await asyncio.sleep(0.1)
    leaving.cancel()
    waited = await governor.permit(model, Caller(), 1)
    assert waited < 1.5


async def test_limits_are_learned_from_the_upstreams_headers(governor, model):
    headers = {"x-ratelimit-limit-requests": "6000", "x-ratelimit-limit-tokens": str(PLENTY)}
    await governor.learn(model, headers)
    began = time.monotonic()
    await drain(governor, model, 100)  # more than the initial ten a second
    assert time.monotonic() - began < 2


async def test_remaining_requests_of_the_upstream_count(governor, model):
    await governor.learn(model, {"x-ratelimit-remaining-requests": "1", "x-ratelimit-remaining-tokens": "1000000"})
    assert await governor.permit(model, Caller(), 1) < 0.1
    assert await governor.permit(model, Caller(), 1) > 0.05


async def test_refusal_pauses_all_workers_for_the_given_time(redis, governor, model):
    await governor.close_for(model, 2, gently=False)
    other = Governor(redis, Limits(requests=600, tokens=PLENTY))
    assert await other.permit(model, Caller(), 1) > 0.8  # the clock is cut to whole seconds


async def test_gentle_start_resumes_at_half_the_rate(governor, model):
    await drain(governor, model)
    await governor.close_for(model, 0, gently=True)
    began = time.monotonic()
    await asyncio.gather(*(governor.permit(model, Caller(), 1) for _ in range(5)))
    assert time.monotonic() - began > 0.75  # half a second at the full rate


async def test_unused_tokens_come_back(redis, model):
    governor = Governor(redis, Limits(requests=PLENTY, tokens=60_000))
    await governor.permit(model, Caller(), 6000)
    governor.correct(model, estimated=6000, used=1000)
    assert await governor.permit(model, Caller(), 4000) < 0.1


async def test_calls_do_not_wait_without_redis(model):
    governor = Governor(Redis(port=1, retry=Retry(NoBackoff(), 0)))
    async with asyncio.timeout(1):
        await asyncio.gather(*(governor.permit(model, Caller(), 1) for _ in range(50)))


async def test_waiting_calls_are_granted_after_a_flush(redis, governor, model, monkeypatch):
    monkeypatch.setattr("llm.governor.AGAIN_SECONDS", 0.1)
    await drain(governor, model)
    waiting = asyncio.gather(*(governor.permit(model, Caller(), 1) for _ in range(5)))
    async with asyncio.timeout(3):
        while not await redis.zcard(f"governor:{{{model}}}:queue:0"):
            await asyncio.sleep(0.005)
        await redis.delete(*[key async for key in redis.scan_iter(f"governor:{{{model}}}*")])
        await waiting


async def test_repeated_requests_keep_their_place_in_the_queue(redis, governor, model, monkeypatch):
    monkeypatch.setattr("llm.governor.AGAIN_SECONDS", 0.0)
    await governor.close_for(model, 1.0, gently=False)
    waiting = asyncio.gather(*(governor.permit(model, Caller(0, flow), 5) for flow in ("heavy", "heavy", "light")))

    async def places():
        return await redis.zrange(f"governor:{{{model}}}:queue:0", 0, -1, withscores=True)

    async with asyncio.timeout(3):
        while len(before := await places()) < 3:
            await asyncio.sleep(0.005)
        told_at = governor._models[model]._sent_all_at
        while governor._models[model]._sent_all_at == told_at:
            await asyncio.sleep(0.005)
        await redis.ping()  # after the script call
        assert await places() == before
        await waiting


async def test_learned_limits_survive_a_flush(redis, governor, model):
    headers = {"x-ratelimit-limit-requests": "60000", "x-ratelimit-limit-tokens": str(PLENTY)}
    await governor.learn(model, headers)
    await redis.delete(f"governor:{{{model}}}:bucket")
    await governor.learn(model, headers)
    async with asyncio.timeout(1):
        await drain(governor, model, 200)


async def test_later_refusal_does_not_shorten_an_earlier_one(governor, model):
    await governor.close_for(model, 1.5, gently=False)
    await governor.close_for(model, 0.1, gently=False)
    assert await governor.permit(model, Caller(), 1) > 1.2
