"""What Redis holds of the rate governor may be lost, unreadable or old: then it counts as absent, and calls go on."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from llm.governor import LONGEST_CLOSED, Caller, Governor, Limits
from tests.llm.test_breaker_keys import OTHER_TYPES

PLENTY = 10**9
FAR = 4_102_444_800  # the year 2100
KEEP = 3600


@pytest.fixture
def prefix(model):
    return f"governor:{{{model}}}"


@pytest.fixture(autouse=True)
def is_governed(caplog, request):
    """No call goes on only because the script failed, except where a test is about that."""
    yield
    if "whatever_redis_answers" not in request.node.name and "refuses_the_script" not in request.node.name:
        assert not [record.message for record in caplog.get_records("call") if "Redis failed" in record.message]


@pytest.fixture
def governor(redis):
    """Ten requests a second, with a burst of sixty."""
    return Governor(redis, Limits(requests=600, tokens=PLENTY))


async def serves(redis, model):
    """Check that calls of two processes and all priorities go on, and at the configured rate."""
    governors = [Governor(redis, Limits(requests=600, tokens=PLENTY)) for _ in range(2)]
    async with asyncio.timeout(5):
        await asyncio.gather(*(governors[n % 2].permit(model, Caller(n % 3, f"flow {n % 4}"), 100) for n in range(40)))
        await governors[0].close_for(model, 0.1, gently=False)
        await governors[1].permit(model, Caller(), 1)


async def every_key_expires(redis, prefix):
    keys = [key async for key in redis.scan_iter(f"{prefix}*")]
    assert keys
    for key in keys:
        assert 0 < await redis.ttl(key) <= KEEP, key


KEYS = ["bucket", *(f"{what}:{n}" for what in ("queue", "flows") for n in range(3))]


@pytest.mark.parametrize("write", OTHER_TYPES.values(), ids=OTHER_TYPES)
async def test_keys_of_another_type_are_replaced(redis, model, prefix, write):
    for key in KEYS:
        await write(redis, f"{prefix}:{key}")
    await serves(redis, model)
    assert await redis.type(f"{prefix}:bucket") == "hash"
    await every_key_expires(redis, prefix)


@pytest.mark.parametrize("write", OTHER_TYPES.values(), ids=OTHER_TYPES)
@pytest.mark.parametrize("key", ["grants", "alive"])
async def test_keys_of_a_process_may_be_of_another_type(redis, governor, model, prefix, key, write):
    await governor.close_for(model, 0.5, gently=False)
    waiting = asyncio.create_task(governor.permit(model, Caller(), 1))
    process = governor._model(model)._process
    async with asyncio.timeout(5):
        while not await redis.exists(f"{prefix}:alive:{process}"):
            await asyncio.sleep(0.005)
        await redis.delete(f"{prefix}:{key}:{process}")
        await write(redis, f"{prefix}:{key}:{process}")
        await Governor(redis, Limits(requests=600, tokens=PLENTY)).permit(model, Caller(), 1)
        await waiting


BUCKETS = [
    *(
        {field: value}
        for field in ("requests", "tokens")
        for value in ("", "many", "nan", "-inf", "inf", -FAR, b"\xff")
    ),
    *({"at": value} for value in ("", "yesterday", "nan", "inf", "-inf", FAR, -FAR, 0)),
    *({"factor": value} for value in ("", "x", "nan", "inf", 0, 1e-9, -1, 1e9)),
    *({"closed_until": value} for value in ("", "x", "nan", "inf", FAR)),
    *({"turn": value} for value in ("x", "nan", "inf", -5, FAR)),
    *({f"served:{n}": value} for n in range(3) for value in ("x", "nan", "inf", "-inf", 1e300)),
    *({"limit_requests": value, "limit_tokens": value} for value in ("x", "nan", "inf", 0, -1, 1)),
    *({"limit_requests": 1, "limit_tokens": 1, "learned_at": at} for at in ("x", "nan", FAR, 1_700_000_000)),
    {"limit_requests": 1, "learned_at": "now"},
    {"rate": 1, "version": 0},
]


@pytest.mark.parametrize("stored", BUCKETS, ids=str)
async def test_bucket_that_cannot_be_read_counts_as_absent(redis, model, prefix, stored):
    await redis.hset(f"{prefix}:bucket", mapping=stored)
    await serves(redis, model)
    await every_key_expires(redis, prefix)


MEMBERS = [
    "",
    "x",
    "a b",
    "a b c d",
    "dead ff nan",
    "dead ff -5",
    "dead ff many",
    "\xff\xfe",
    "dead zz 5",
    "  ",
    "a\nb c 5",
]


@pytest.mark.parametrize("score", [0, "inf", "-inf", 1e300])
@pytest.mark.parametrize("owner", ["dead", "alive"])
async def test_tickets_that_cannot_be_read_are_dropped(redis, model, prefix, owner, score):
    for n in range(3):
        await redis.zadd(f"{prefix}:queue:{n}", {member.replace("dead", owner): score for member in MEMBERS})
    await redis.set(f"{prefix}:alive:alive", "")
    await redis.set(f"{prefix}:alive:a", "")
    await redis.zadd(f"{prefix}:queue:0", {b"\xff \xfe 5": 0})
    await serves(redis, model)
    assert [await redis.zcard(f"{prefix}:queue:{n}") for n in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("value", ["x", "nan", "inf", "-inf", 1e300, -5, b"\xff"])
async def test_flows_that_cannot_be_read_begin_where_the_others_are(redis, model, prefix, value):
    for n in range(3):
        await redis.hset(f"{prefix}:flows:{n}", mapping={f"flow {flow}": value for flow in range(4)})
    await serves(redis, model)


async def test_grants_that_cannot_be_read_are_dropped(redis, governor, model, prefix):
    process = governor._model(model)._process
    await redis.rpush(f"{prefix}:grants:{process}", b"\xff\xfe", "", "no ticket", "ffff")
    async with asyncio.timeout(3):
        await governor.permit(model, Caller(), 1)


async def test_every_key_expires_also_while_calls_wait(redis, governor, model, prefix):
    await governor.close_for(model, 1, gently=True)
    await every_key_expires(redis, prefix)
    await redis.delete(f"{prefix}:bucket")
    await governor.learn(model, {"x-ratelimit-limit-requests": "6000", "x-ratelimit-limit-tokens": "100000"})
    await every_key_expires(redis, prefix)
    await governor.close_for(model, 1, gently=False)
    waiting = asyncio.gather(*(governor.permit(model, Caller(n), 1) for n in range(3)))
    async with asyncio.timeout(5):
        while not await redis.exists(f"{prefix}:queue:2"):
            await asyncio.sleep(0.005)
        await redis.ping()
        await every_key_expires(redis, prefix)
        await waiting


@pytest.mark.parametrize("seconds", [float("inf"), 10.0**12, LONGEST_CLOSED * 2])
async def test_refusal_closes_a_model_for_an_hour_at_most(redis, governor, model, prefix, seconds):
    await governor.close_for(model, seconds, gently=False)
    left = float(await redis.hget(f"{prefix}:bucket", "closed_until")) - time.time()
    assert left <= LONGEST_CLOSED + 1


@pytest.mark.parametrize("stored", ["x", "nan", "inf", FAR, b"\xff"])
async def test_refusal_replaces_a_time_that_cannot_be_read(redis, governor, model, prefix, stored):
    await redis.hset(f"{prefix}:bucket", "closed_until", stored)
    await governor.close_for(model, 30, gently=False)
    assert 25 < float(await redis.hget(f"{prefix}:bucket", "closed_until")) - time.time() < 35


async def test_learned_limits_hold_for_an_hour(redis, model, prefix, monkeypatch):
    governor = Governor(redis, Limits(requests=6000, tokens=PLENTY))
    await governor.learn(model, {"x-ratelimit-limit-requests": "1", "x-ratelimit-limit-tokens": "1"})
    assert await redis.hget(f"{prefix}:bucket", "limit_requests") == "1"
    await redis.hset(f"{prefix}:bucket", "learned_at", time.time() - 3601)
    monkeypatch.setattr("llm.governor.LEARNED_SECONDS", 0)
    async with asyncio.timeout(3):
        await asyncio.gather(*(governor.permit(model, Caller(), 10) for _ in range(100)))


@pytest.mark.parametrize("value", ["", "x", "-1", "0", "1.5", "nan", "9" * 30, "9" * 5000, "1e9", "²"])
async def test_headers_that_are_no_limits_are_ignored(redis, governor, model, prefix, value):
    names = [f"x-ratelimit-{what}-{kind}" for what in ("limit", "remaining") for kind in ("requests", "tokens")]
    await governor.learn(model, dict.fromkeys(names, value))
    assert not await redis.hexists(f"{prefix}:bucket", "limit_requests")
    if value != "0":  # nothing remains: the calls wait for the rate
        assert await governor.permit(model, Caller(), 1) < 0.5


async def test_call_that_used_far_more_than_estimated_costs_a_minute_at_most(redis, model):
    governor = Governor(redis, Limits(requests=PLENTY, tokens=6_000_000))
    await governor.permit(model, Caller(), 1)
    governor.correct(model, estimated=1, used=2**31)
    governor.correct(model, estimated=1, used=2**31)
    waiting = asyncio.create_task(governor.permit(model, Caller(), 1))
    await asyncio.sleep(0.1)
    room = float(await redis.hget(f"governor:{{{model}}}:bucket", "tokens"))
    assert -6_000_000 <= room < 0
    waiting.cancel()


async def test_waiting_calls_go_on_whatever_redis_answers(redis, governor, model, prefix, caplog):
    """An agent that ends would leave them waiting for ever."""
    await governor.close_for(model, 30, gently=False)
    waiting = [asyncio.create_task(governor.permit(model, Caller(), 1)) for _ in range(5)]
    while not await redis.exists(f"{prefix}:queue:0"):
        await asyncio.sleep(0.005)

    async def unforeseen(**kwargs):
        return ["no number", None]

    governor._model(model)._script = unforeseen
    async with asyncio.timeout(3):
        await asyncio.gather(*waiting)
        await governor.permit(model, Caller(), 1)
    assert any(record.exc_info for record in caplog.records)


async def test_waiting_calls_go_on_when_redis_refuses_the_script(redis, governor, model, prefix):
    name = f"governor-{model}"
    await governor.close_for(model, 30, gently=False)
    waiting = asyncio.create_task(governor.permit(model, Caller(), 1))
    while not await redis.exists(f"{prefix}:queue:0"):
        await asyncio.sleep(0.005)
    await redis.execute_command("ACL", "SETUSER", name, "on", "nopass", "~*", "+@all", "-evalsha", "-eval")
    try:
        refused = Redis.from_url(_with_user(redis, name), decode_responses=True)
        async with asyncio.timeout(3):
            await Governor(refused, Limits()).permit(model, Caller(), 1)
        await refused.aclose()
    finally:
        await redis.execute_command("ACL", "DELUSER", name)
    waiting.cancel()


def _with_user(redis, name):
    there = redis.connection_pool.connection_kwargs
    return f"redis://{name}:x@{there['host']}:{there['port']}/{there.get('db', 0)}"
