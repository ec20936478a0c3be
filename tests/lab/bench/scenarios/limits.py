"""The rate governor: how much of the upstream's rate is used, and how callers delay each other. Uses no worker."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from llm.governor import Caller, Governor, Limits
from tests.lab.bench.measuring import Bench
from tests.lab.bench.scenarios.overload import overload
from tests.lab.report import Result, Row
from tests.lab.stats import percentile, ratio

PER_SECOND = 20
PEOPLE = 30
QUEUED = 100
WARM_UP, SECONDS = 4.0, 40.0
BURST, EVERY = 20, 2.0  # half of the rate, in bursts
FIRST_TOKEN = 0.5  # seconds from the permit to the first token


@dataclass(frozen=True)
class Others:
    """The load beside the people whose waits are measured: a caller with this many calls queued all the time."""

    caller: Caller
    queued: int = QUEUED


NOBODY = Others(Caller(), 0)
BATCH = Others(Caller(2, "batch"))
HEAVY = Others(Caller(0, "heavy"))


async def limits(bench: Bench) -> Result:
    """Twice the allowed load against the simulator's limits; then waits for permits with and without other load."""
    overloads = await overload(bench)
    redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    # Concurrently: each case has its own governor and rate, and needs almost no processor time.
    alone, with_batch, with_heavy, bursts, bursts_with_batch = await asyncio.gather(
        _waits(redis, _keep_asking, NOBODY),
        _waits(redis, _keep_asking, BATCH),
        _waits(redis, _keep_asking, HEAVY),
        _waits(redis, _ask_in_bursts, NOBODY),
        _waits(redis, _ask_in_bursts, BATCH),
    )
    await redis.aclose()
    until_token = [[wait + FIRST_TOKEN for wait in waits] for waits in (bursts, bursts_with_batch)]
    people = f"{PEOPLE} people who ask again and again"
    asked = f"{BURST} questions at once every {EVERY:.0f} s, first token"
    return Result(
        "limits",
        [
            *overloads,
            Row(f"permit for {people}, p95", percentile(alone, 95) * 1000, "ms"),
            *_against("batch work (P2) that saturates", with_batch, alone, 1.2),
            *_against(f"one person with {QUEUED} questions queued", with_heavy, alone, 1.1),
            Row(f"{asked}, p95", percentile(until_token[0], 95) * 1000, "ms"),
            *_against("batch work (P2) that saturates", until_token[1], until_token[0], 1.2),
        ],
        [f"waits: {PER_SECOND} calls a second allowed; the five cases run concurrently, each with its own governor"],
    )


def _against(others: str, values: Sequence[float], alone: Sequence[float], target: float) -> list[Row]:
    return [
        Row(f"the same beside {others}, p95", percentile(values, 95) * 1000, "ms"),
        Row("against without", ratio(percentile(values, 95), percentile(alone, 95)), "x", target, True),
    ]


Permit = Callable[[Caller], Awaitable[float]]


async def _waits(redis: Redis, ask: Callable[[Permit, list[float]], Awaitable[None]], others: Others) -> list[float]:
    """Seconds that people waited for their permits, after the burst allowance is used up."""
    model, waits = f"bench-{uuid.uuid4().hex[:8]}", list[float]()
    governor = Governor(redis, Limits(PER_SECOND * 60, 10**9))

    async def permit(caller: Caller) -> float:
        return await governor.permit(model, caller, 1)

    async def go_on() -> None:
        while True:
            await permit(others.caller)

    await asyncio.gather(*(permit(Caller()) for _ in range(PER_SECOND * 6)))
    tasks = [asyncio.create_task(go_on()) for _ in range(others.queued)]
    tasks.append(asyncio.create_task(ask(permit, waits)))  # type: ignore[arg-type]
    await asyncio.sleep(WARM_UP)
    waits.clear()
    await asyncio.sleep(SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return list(waits)


async def _keep_asking(permit: Permit, waits: list[float]) -> None:
    async def one(caller: Caller) -> None:
        while True:
            waits.append(await permit(caller))

    await asyncio.gather(*(one(Caller(0, f"person-{n}")) for n in range(PEOPLE)))


async def _ask_in_bursts(permit: Permit, waits: list[float]) -> None:
    async def one(caller: Caller) -> None:
        waits.append(await permit(caller))

    began = time.monotonic()
    async with asyncio.TaskGroup() as questions:
        for number in range(1_000):
            await asyncio.sleep(max(0.0, began + number * EVERY - time.monotonic()))
            for n in range(BURST):
                questions.create_task(one(Caller(0, f"person-{n}")))
