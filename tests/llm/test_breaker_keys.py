"""What Redis holds of a breaker may be lost, unreadable or old: then it counts as absent."""

import contextlib
import json
import time

import pytest

from llm import breaker
from llm.breaker import CHANGES_KEPT, KEEP_SECONDS, THRESHOLD, Breakers
from tests.llm.breaking import DOWN, Running, call, fail, states


async def opens_and_recovers(redis, model):
    """Check that the breaker opens, lets a probe through and closes."""
    breakers = Breakers(redis)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(breaker, "OPEN_SECONDS", 10.0)
        await fail(breakers, model)
        assert await breaker.state_of(redis, model) == "opened"
        assert not await call(breakers, model)
        patch.setattr(breaker, "OPEN_SECONDS", 0.0)
        assert await call(breakers, model)
        assert await breaker.state_of(redis, model) == "closed"
    assert (await states(redis, model))[:2] == ["closed", "opened"]


FAR = 10**15
OTHER_TYPES = {
    "string": lambda redis, key: redis.set(key, '{"state": "opened"}'),
    "bytes": lambda redis, key: redis.set(key, b"\xff\xfe"),
    "list": lambda redis, key: redis.rpush(key, "opened"),
    "set": lambda redis, key: redis.sadd(key, "opened"),
    "sorted set": lambda redis, key: redis.zadd(key, {"opened": 1}),
    "stream": lambda redis, key: redis.xadd(key, {"state": "opened"}),
}


@pytest.mark.parametrize("write", OTHER_TYPES.values(), ids=OTHER_TYPES)
async def test_key_of_another_type_is_replaced(redis, model, key, write):
    await write(redis, key)
    assert await breaker.state_of(redis, model) == "closed"
    assert await breaker.changes(redis, model) == []
    assert await call(Breakers(redis), model)
    await opens_and_recovers(redis, model)
    assert await redis.type(key) == "hash"


@pytest.mark.parametrize("write", OTHER_TYPES.values(), ids=OTHER_TYPES)
async def test_key_that_changes_its_type_during_a_call_is_replaced(redis, breakers, model, key, write):
    async with breakers.guard(model):
        await redis.delete(key)
        await write(redis, key)
    running = await Running(breakers, model).entered()
    await running.end(DOWN)
    assert await redis.hget(key, "failures") == "1"
    await write_other(redis, key, write)
    await breakers.hold(model, "open")
    assert await breaker.state_of(redis, model) == "held open"


async def write_other(redis, key, write):
    await redis.delete(key)
    await write(redis, key)


@pytest.mark.parametrize(
    "stored",
    [
        {"state": "opened"},
        {"state": "half-opened"},
        {"state": "half-opened", "probe": "x", "probe_until": FAR},
        {"state": "opened", "since": "yesterday"},
        {"state": "opened", "since": "nan"},
        {"state": "opened", "since": "-inf"},
        {"state": "opened", "since": FAR},
        {"state": "opened", "since": 1_700_000_000},  # years ago
        {"state": "", "since": ""},
        {"state": "OPEN", "since": FAR},
        {"state": b"\xff\xfe", "since": b"\xff"},
        {"state": "closed", "since": FAR},
        {"failures": "many"},
        {"failures": "nan"},
        {"failures": -5},
        {"failures": FAR},
        {"since": "0x"},
        {"hold": "open"},
        {"hold": "open", "hold_until": "later"},
        {"hold": "open", "hold_until": "inf"},
        {"hold": "open", "hold_until": 1_700_000_000},
        {"hold": "ajar", "hold_until": FAR},
        {"threshold": 1, "ttl": 1},
    ],
    ids=str,
)
async def test_half_a_hash_or_one_of_another_version_counts_as_absent(redis, model, key, stored):
    await redis.hset(key, mapping=stored)
    assert await breaker.state_of(redis, model) == "closed"
    assert await breaker.changes(redis, model) == []
    assert not breaker.blocks(await breaker.state_of(redis, model))
    assert await call(Breakers(redis), model)
    await opens_and_recovers(redis, model)
    assert 0 < await redis.ttl(key) <= KEEP_SECONDS
    assert "threshold" not in await redis.hgetall(key)


@pytest.mark.parametrize("field", ["since", "failures", "probe", "probe_until", "hold", "hold_until", "changes"])
@pytest.mark.parametrize("phase", ["opened", "half-opened", "held"])
async def test_any_field_may_be_lost_during_a_call(redis, breakers, model, key, field, phase, probes_at_once):
    await fail(breakers, model, THRESHOLD if phase != "held" else 1)
    if phase == "held":
        await breakers.hold(model, "closed", "ada")
    if phase == "half-opened":
        async with breakers.guard(model):
            await redis.hdel(key, field)
    else:
        await redis.hdel(key, field)
    assert await call(Breakers(redis), model)
    assert await breaker.state_of(redis, model) == (
        "held closed" if phase == "held" and not field.startswith("hold") else "closed"
    )
    await breakers.hold(model, None)
    await opens_and_recovers(redis, model)


@pytest.mark.parametrize(
    "garbage",
    [
        '[[1700000000.0, "opened", ""]]',
        "nonsense",
        "||",
        "1700000000.0|opened",
        "1e400|opened|",
        f"{'9' * 400}.0|opened|",
        f"{FAR}.0|opened|",
        "1700000000.0|opened|a|b",
        "nan|opened|",
        b"1700000000.0|opened|\xff",
        b"\xff\xfe\x00",
    ],
    ids=lambda garbage: repr(garbage[:30]),
)
async def test_unreadable_changes_are_dropped(redis, breakers, model, key, garbage):
    readable = b"1700000000.5|held open|ada%20b"
    line = garbage if isinstance(garbage, bytes) else garbage.encode()
    await redis.hset(key, mapping={"changes": line + b"\n" + readable + b"\n\n" + line})
    [change] = await breaker.changes(redis, model)
    assert (change.at.timestamp(), change.state, change.by) == (1700000000.5, "held open", "ada b")
    await breakers.hold(model, "open", "eve")
    assert [change.by for change in await breaker.changes(redis, model)] == ["eve", "ada b"]


async def test_more_changes_than_are_kept_are_cut(redis, model, key):
    await redis.hset(key, "changes", "\n".join(f"1700000{n:03}.0|opened|" for n in range(100)))
    assert len(await breaker.changes(redis, model)) == CHANGES_KEPT


async def test_keys_of_earlier_releases_are_ignored(redis, breakers, model):
    old = json.dumps({"name": model, "threshold": 8, "ttl": 10.0, "state": "opened", "opened_at": time.time()})
    await redis.mset({f"breaker:{model}": old, f"breaker:{model}:hold": "open", f"breaker:{model}:probe": "1"})
    assert await breaker.state_of(redis, model) == "closed"
    assert await call(breakers, model)
    await opens_and_recovers(redis, model)


async def test_failure_after_a_flush_starts_a_new_count(redis, breakers, model, key):
    await fail(breakers, model, THRESHOLD - 1)
    running = await Running(breakers, model).entered()
    await redis.delete(key)
    await running.end(DOWN)
    assert await redis.hget(key, "failures") == "1"
    await call(breakers, model)
    await opens_and_recovers(redis, model)


@pytest.mark.parametrize("outcome", [DOWN, None, "cancelled"], ids=["failed", "answered", "cancelled"])
async def test_flush_during_a_probe_leaves_it_closed(redis, breakers, model, key, probes_at_once, outcome):
    await fail(breakers, model)
    probe = await Running(breakers, model).entered()
    await redis.delete(key)
    await (probe.cancel() if outcome == "cancelled" else probe.end(outcome))
    assert await breaker.state_of(redis, model) == "closed"
    await call(breakers, model)
    await opens_and_recovers(redis, model)


async def test_script_is_loaded_again_after_a_script_flush(redis, breakers, model):
    await redis.script_flush()
    assert await breaker.state_of(redis, model) == "closed"
    await opens_and_recovers(redis, model)


@pytest.mark.parametrize("what", ["failures", "opened", "probe", "hold", "looked at"])
async def test_every_key_expires(redis, breakers, model, key, what, probes_at_once):
    await fail(breakers, model, 1 if what == "failures" else THRESHOLD)
    if what == "hold":
        await breakers.hold(model, "closed")
    if what == "looked at":
        await redis.persist(key)  # as another program may have left it
        await call(breakers, model, DOWN)
    async with contextlib.AsyncExitStack() as stack:
        if what == "probe":
            await stack.enter_async_context(breakers.guard(model))
        assert KEEP_SECONDS - 60 < await redis.ttl(key) <= KEEP_SECONDS
        assert [name async for name in redis.scan_iter(f"breaker:*{model}*")] == [key]


async def test_calls_refresh_the_time_to_live(redis, breakers, model, key):
    await fail(breakers, model, 1)
    await redis.expire(key, 100)
    await call(Breakers(redis), model)
    assert await redis.ttl(key) > KEEP_SECONDS - 60


async def test_breaker_that_was_opened_a_day_ago_is_closed(redis, breakers, model, key):
    await fail(breakers, model)
    await redis.hset(key, "since", time.time() - 86400 + 60)
    assert breaker.blocks(await breaker.state_of(redis, model))
    await redis.hset(key, "since", time.time() - 86400 - 1)
    assert not breaker.blocks(await breaker.state_of(redis, model))


async def test_clock_is_the_one_of_redis(redis, breakers, model, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    await fail(breakers, model)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert not await call(breakers, model)
    assert (await breaker.changes(redis, model))[0].at.year >= 2026
