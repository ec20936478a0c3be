"""The circuit breaker on a real Redis: opens for all workers, lets single probes through, can be held by staff."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from llm import breaker
from llm.breaker import THRESHOLD, Breakers
from llm.errors import Kind, LlmError

DOWN = LlmError(Kind.TRANSIENT, "down")


@pytest.fixture
def breakers(redis) -> Breakers:
    return Breakers(redis)


async def call(breakers, model, error=None):
    """One call through the breaker: whether it was let through."""
    try:
        async with breakers.guard(model):
            if error:
                raise error
    except LlmError as raised:
        return raised.kind is not Kind.PAUSED
    return True


async def fail(breakers, model, times=THRESHOLD):
    for _ in range(times):
        await call(breakers, model, DOWN)


async def test_it_opens_after_failures_in_a_row_and_stops_calls(breakers, model):
    await fail(breakers, model, THRESHOLD - 1)
    assert await call(breakers, model, DOWN)
    assert not await call(breakers, model)


async def test_success_in_between_starts_the_count_anew(breakers, model):
    await fail(breakers, model, THRESHOLD - 1)
    await call(breakers, model)
    await fail(breakers, model, THRESHOLD - 1)
    assert await call(breakers, model)


@pytest.mark.parametrize("kind", [Kind.RATE_LIMITED, Kind.BAD_REQUEST, Kind.REFUSED, Kind.AUTH])
async def test_upstream_that_answers_is_not_down(breakers, model, kind):
    for _ in range(THRESHOLD * 2):
        await call(breakers, model, LlmError(kind, ""))
    assert await call(breakers, model)


async def test_all_workers_share_it(redis, breakers, model):
    await fail(breakers, model)
    assert not await call(Breakers(redis), model)


async def test_each_model_has_its_own(breakers, model):
    await fail(breakers, model)
    assert await call(breakers, model + "-other")


async def test_only_one_probe_goes_through_and_its_success_closes(redis, model, monkeypatch):
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0.0)
    breakers = Breakers(redis)
    await fail(breakers, model)
    async with breakers.guard(model):  # the probe
        assert not await call(breakers, model)
        assert not await call(Breakers(redis), model)
    assert await call(breakers, model)
    assert await breaker.state_of(redis, model) == "closed"


async def test_it_blocks_until_a_probe_has_been_answered_well(redis, model, monkeypatch):
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0.0)
    breakers = Breakers(redis)
    assert not await breaker.is_blocking(redis, model)
    await fail(breakers, model)
    async with breakers.guard(model):  # the probe
        assert await breaker.is_blocking(redis, model)
    assert not await breaker.is_blocking(redis, model)
    for state, blocks in (("open", True), ("closed", False)):
        await breakers.hold(model, state)
        assert await breaker.is_blocking(redis, model) is blocks


async def test_failed_probe_keeps_it_open(redis, model, monkeypatch):
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0.0)
    breakers = Breakers(redis)
    await fail(breakers, model)
    assert await call(breakers, model, DOWN)  # the probe
    assert await breaker.state_of(redis, model) == "opened"


async def test_staff_can_hold_it_open_and_closed(redis, breakers, model):
    await call(breakers, model)
    await breakers.hold(model, "open")
    assert not await call(breakers, model)
    assert await breaker.state_of(redis, model) == "held open"
    await breakers.hold(model, "closed")
    await fail(breakers, model, THRESHOLD * 2)
    assert await call(breakers, model)
    await breakers.hold(model, None)
    assert await breaker.state_of(redis, model) == "closed"


async def test_changes_are_kept_with_who_wanted_them(redis, model, monkeypatch):
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0.0)
    breakers = Breakers(redis)
    await fail(breakers, model)
    await fail(Breakers(redis), model)  # probes
    await call(breakers, model)
    await breakers.hold(model, "open", "ada")
    await breakers.hold(model, None, "ada")
    kept = [(change.state, change.by) for change in await breaker.changes(redis, model)]
    assert kept == [("works by itself again", "ada"), ("held open", "ada"), ("closed", ""), ("opened", "")]
    for _ in range(breaker.CHANGES_KEPT):
        await breakers.hold(model, "open", "ada")
        await breakers.hold(model, "closed", "ada")
    assert len(await breaker.changes(redis, model)) == breaker.CHANGES_KEPT


async def test_without_redis_calls_go_through(model):
    assert await call(Breakers(Redis(port=1, retry=Retry(NoBackoff(), 0))), model)


async def test_of_many_calls_at_once_one_looks_whether_all_is_still_well(breakers, model, monkeypatch):
    await call(breakers, model)
    breakers._well_until[model] = 0.0
    looks, look = [], breakers._look

    async def counted(name):
        looks.append(name)
        return await look(name)

    monkeypatch.setattr(breakers, "_look", counted)
    assert all(await asyncio.gather(*(call(breakers, model) for _ in range(100))))
    assert looks == [model]


async def test_trust_ends_when_the_one_that_looks_finds_it_open(redis, breakers, model):
    await call(breakers, model)
    await fail(Breakers(redis), model)
    breakers._well_until[model] = 0.0
    assert not await call(breakers, model)
    assert not await call(breakers, model)
