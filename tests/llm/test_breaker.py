"""The circuit breaker on a real Redis: shared by all workers, one probe at a time, and holds."""

import asyncio
import time

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from llm import breaker
from llm.breaker import CHANGES_KEPT, KEEP_SECONDS, THRESHOLD, Breakers
from llm.errors import ErrorKind, LlmError
from tests.llm.breaking import DOWN, Running, call, fail, states


async def test_it_opens_after_failures_in_a_row_and_stops_calls(breakers, model):
    await fail(breakers, model, THRESHOLD - 1)
    assert await call(breakers, model, DOWN)
    assert not await call(breakers, model)


async def test_success_resets_the_count(breakers, model):
    await fail(breakers, model, THRESHOLD - 1)
    await call(breakers, model)
    await fail(breakers, model, THRESHOLD - 1)
    assert await call(breakers, model)


@pytest.mark.parametrize("kind", [ErrorKind.RATE_LIMITED, ErrorKind.BAD_REQUEST, ErrorKind.REFUSED, ErrorKind.AUTH])
async def test_failures_other_than_outages_do_not_open_it(breakers, model, kind):
    for _ in range(THRESHOLD * 2):
        await call(breakers, model, LlmError(kind, ""))
    assert await call(breakers, model)


async def test_all_workers_share_it(redis, breakers, model):
    await fail(breakers, model)
    assert not await call(Breakers(redis), model)


async def test_each_model_has_its_own(breakers, model):
    await fail(breakers, model)
    assert await call(breakers, model + "-other")


async def test_failures_of_many_workers_at_once_are_all_counted(redis, model):
    running = [await Running(Breakers(redis), model).entered() for _ in range(THRESHOLD)]
    await asyncio.gather(*(each.end(DOWN) for each in running))
    assert await breaker.state_of(redis, model) == "opened"


async def test_only_one_probe_goes_through_and_its_success_closes(redis, breakers, model, probes_at_once):
    await fail(breakers, model)
    async with breakers.guard(model):  # the probe
        assert await breaker.state_of(redis, model) == "half-opened"
        assert not await call(breakers, model)
        assert not await call(Breakers(redis), model)
    assert await call(breakers, model)
    assert await breaker.state_of(redis, model) == "closed"


async def test_breaker_blocks_until_a_probe_succeeds(redis, breakers, model, probes_at_once):
    assert not breaker.blocks(await breaker.state_of(redis, model))
    await fail(breakers, model)
    async with breakers.guard(model):  # the probe
        assert breaker.blocks(await breaker.state_of(redis, model))
    assert not breaker.blocks(await breaker.state_of(redis, model))
    for state, blocks in (("open", True), ("closed", False)):
        await breakers.hold(model, state)
        assert breaker.blocks(await breaker.state_of(redis, model)) is blocks


async def test_failed_probe_opens_it_again(redis, breakers, model, monkeypatch):
    await fail(breakers, model)
    with monkeypatch.context() as patch:
        patch.setattr(breaker, "OPEN_SECONDS", 0.0)
        assert await call(breakers, model, DOWN)  # the probe
    assert await breaker.state_of(redis, model) == "opened"
    assert not await call(breakers, model)  # and the pause restarts


async def test_calls_wait_longer_for_an_opened_breaker_than_for_a_probe(breakers, model, monkeypatch):
    await fail(breakers, model)
    with pytest.raises(LlmError) as opened:
        async with breakers.guard(model):
            pass
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0.001)
    await asyncio.sleep(0.002)
    async with breakers.guard(model):
        with pytest.raises(LlmError) as half_opened:
            async with breakers.guard(model):
                pass
    assert (opened.value.retry_after, half_opened.value.retry_after) == (10.0, 0.0005)


async def test_cancelled_probe_releases_its_slot_at_once(redis, breakers, model, probes_at_once):
    await fail(breakers, model)
    probe = await Running(breakers, model).entered()
    assert not await call(breakers, model)
    await probe.cancel()
    assert await breaker.state_of(redis, model) == "opened"
    assert await call(breakers, model)  # the next probe
    assert await breaker.state_of(redis, model) == "closed"


async def test_probe_that_raises_another_exception_releases_its_slot(breakers, model, probes_at_once):
    await fail(breakers, model)
    with pytest.raises(ZeroDivisionError):
        async with breakers.guard(model):
            raise ZeroDivisionError
    assert await call(breakers, model)


async def test_probe_that_is_cancelled_before_redis_replies_releases_its_slot(
    redis, slow_redis, model, key, probes_at_once
):
    await fail(Breakers(redis), model)
    slow, replies = slow_redis
    replies.clear()
    probe = Running(Breakers(slow), model)
    async with asyncio.timeout(5):
        while await redis.hget(key, "state") != "half-opened":
            await asyncio.sleep(0.005)
    probe.task.cancel()
    await asyncio.sleep(0)
    replies.set()
    await probe.cancelled()
    assert await redis.hget(key, "state") == "opened"
    assert await call(Breakers(redis), model)


@pytest.fixture
async def lone_redis(redis):
    """A client with one connection, and a function that keeps it busy until its result is called."""
    there = redis.connection_pool.connection_kwargs
    pool = BlockingConnectionPool(
        host=there["host"], port=there["port"], db=there.get("db", 0), decode_responses=True, max_connections=1
    )
    client = Redis.from_pool(pool)

    async def occupy():
        connection = await pool.get_connection()
        return lambda: pool.release(connection)

    yield client, occupy
    await client.aclose()
    await pool.aclose()


async def test_probe_that_is_cancelled_again_and_again_frees_its_place(
    redis, lone_redis, breakers, model, key, probes_at_once
):
    """As the engine does until an attempt has ended, and as Redis may be slow just then."""
    await fail(breakers, model)
    client, occupy = lone_redis
    probe = await Running(Breakers(client), model).entered()
    give_back = await occupy()
    for _ in range(3):
        probe.task.cancel()
        await asyncio.sleep(0.01)
    await probe.cancelled()
    await give_back()
    async with asyncio.timeout(5):
        while await redis.hget(key, "state") != "opened":
            await asyncio.sleep(0.005)
    assert await call(Breakers(redis), model)


async def test_probe_that_a_task_group_cancels_frees_its_place(redis, breakers, model, key, probes_at_once):
    """A question is rewritten and embedded at the same time: when one fails, the other is cancelled."""
    await fail(breakers, model)

    async def sibling(probe):
        await probe.entered()
        raise DOWN

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            probe = Running(breakers, model)
            group.create_task(sibling(probe))

            async def wait_for_probe():
                try:
                    await asyncio.shield(probe.task)
                except asyncio.CancelledError:
                    probe.task.cancel()
                    raise

            group.create_task(wait_for_probe())
    await probe.cancelled()
    assert await redis.hget(key, "state") == "opened"
    assert await call(breakers, model)


async def test_asking_takes_no_probe(redis, breakers, model, probes_at_once):
    await fail(breakers, model)
    for _ in range(3):
        await breakers.check(model)
    assert await breaker.state_of(redis, model) == "opened"
    async with breakers.guard(model):
        with pytest.raises(LlmError) as held_back:
            await breakers.check(model)
        assert (held_back.value.kind, held_back.value.model) == (ErrorKind.PAUSED, model)


async def test_unreadable_answers_do_not_open_it_and_end_a_probe(redis, breakers, model, probes_at_once):
    """An upstream that answers with HTTP 200 is up."""
    for _ in range(THRESHOLD * 2):
        assert await call(breakers, model, LlmError(ErrorKind.GARBLED, ""))
    assert await breaker.state_of(redis, model) == "closed"
    await fail(breakers, model)
    await call(breakers, model, LlmError(ErrorKind.GARBLED, ""))
    assert await breaker.state_of(redis, model) == "closed"


async def test_probe_whose_request_the_client_repeats_is_one_probe(redis, breakers, model, probes_at_once):
    """redis-py sends a command again when the reply was lost."""
    await fail(breakers, model)
    first, again = [await breaker._run(redis, model, "enter", "token") for _ in range(2)]
    assert first[:2] == again[:2] == ["half-opened", 1]
    assert not await call(breakers, model)


async def test_probe_without_an_outcome_is_replaced_by_another(redis, breakers, model, probes_at_once, monkeypatch):
    await fail(breakers, model)
    monkeypatch.setattr(breaker, "PROBE_SECONDS", 0.01)
    late = await Running(breakers, model).entered()
    await asyncio.sleep(0.02)
    monkeypatch.undo()
    monkeypatch.setattr(breaker, "OPEN_SECONDS", 0.0)
    async with breakers.guard(model):  # the second probe
        await late.end(DOWN)  # ignored: another call has the slot
        assert await breaker.state_of(redis, model) == "half-opened"
        assert not await call(breakers, model)
    assert await breaker.state_of(redis, model) == "closed"


async def test_late_probe_still_counts_while_it_is_the_only_one(redis, breakers, model, probes_at_once, monkeypatch):
    await fail(breakers, model)
    monkeypatch.setattr(breaker, "PROBE_SECONDS", 0.001)
    async with breakers.guard(model):
        await asyncio.sleep(0.002)
        assert await breaker.state_of(redis, model) == "opened"
    assert await breaker.state_of(redis, model) == "closed"


async def test_success_of_a_call_that_began_before_it_opened_does_not_close_it(redis, model):
    await fail(Breakers(redis), model, 1)
    early = await Running(Breakers(redis), model).entered()
    await fail(Breakers(redis), model)
    await early.end()
    assert await breaker.state_of(redis, model) == "opened"


async def test_failures_of_calls_that_began_before_it_closed_do_not_open_it(redis, model, probes_at_once):
    early = [await Running(Breakers(redis), model).entered() for _ in range(THRESHOLD)]
    await fail(Breakers(redis), model)
    await call(Breakers(redis), model)  # the probe
    for each in early:
        await each.end(DOWN)
    assert await breaker.state_of(redis, model) == "closed"


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


async def test_hold_ends_by_itself_after_weeks(redis, breakers, model, key):
    await breakers.hold(model, "open", "ada")
    assert float(await redis.hget(key, "hold_until")) - time.time() > KEEP_SECONDS - 60
    await redis.hset(key, "hold_until", time.time() - 1)
    assert await breaker.state_of(redis, model) == "closed"
    assert await call(breakers, model)
    assert await states(redis, model) == ["automatic again", "held open"]


async def test_changes_are_kept_with_who_made_them(redis, breakers, model, probes_at_once):
    began = time.time()
    await fail(breakers, model)
    await fail(Breakers(redis), model)  # probes
    await call(breakers, model)
    await breakers.hold(model, "open", "ada")
    await breakers.hold(model, None, "ada")
    changes = await breaker.changes(redis, model)
    kept = [(change.state, change.by) for change in changes]
    assert kept == [("automatic again", "ada"), ("held open", "ada"), ("closed", ""), ("opened", "")]
    assert {change.model for change in changes} == {model}
    assert began - 1 < min(change.at.timestamp() for change in changes) < time.time() + 1
    for _ in range(CHANGES_KEPT):
        await breakers.hold(model, "open", "ada")
        await breakers.hold(model, "closed", "ada")
    assert len(await breaker.changes(redis, model)) == CHANGES_KEPT


@pytest.mark.parametrize("by", ["ada|1", "zoë\nopened", "100 %", ""])
async def test_any_user_name_can_be_recorded(redis, breakers, model, by):
    await breakers.hold(model, "open", by)
    assert [change.by for change in await breaker.changes(redis, model)] == [by]


async def test_without_redis_calls_go_through(model):
    assert await call(Breakers(Redis(port=1, retry=Retry(NoBackoff(), 0))), model)


async def test_call_ends_normally_if_redis_goes_down_during_it(redis, model):
    with pytest.raises(LlmError) as failure:
        async with Breakers(redis).guard(model):
            redis.connection_pool.connection_kwargs["port"] = 1
            await redis.connection_pool.disconnect()
            redis.connection_pool.reset()
            redis.set_retry(Retry(NoBackoff(), 0))
            raise DOWN
    assert failure.value is DOWN


async def test_concurrent_calls_share_one_check_in_redis(redis, breakers, model):
    await call(breakers, model)
    await asyncio.sleep(breaker.TRUST_SECONDS)
    before = await scripts_run(redis)
    assert all(await asyncio.gather(*(call(breakers, model) for _ in range(100))))
    assert await scripts_run(redis) - before == 1


async def scripts_run(redis):
    return (await redis.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"]


async def test_check_that_finds_the_breaker_open_ends_the_trust(redis, breakers, model):
    await call(breakers, model)
    await fail(Breakers(redis), model)
    await asyncio.sleep(breaker.TRUST_SECONDS)
    assert not await call(breakers, model)
    assert not await call(breakers, model)
