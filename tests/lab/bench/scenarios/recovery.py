"""How long answers are interrupted when a worker or Redis is lost, with default settings."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable

from django.conf import settings
from redis.asyncio import Redis

from tests.lab.bench.load import Answer, Person, Unexpected
from tests.lab.bench.measuring import Bench
from tests.lab.report import Result, Row
from tests.lab.upstream import AT_ONCE, LONG

ANSWERS = 20
PATIENCE = 120.0
POLL_SECONDS = 0.2


async def recovery(bench: Bench) -> Result:
    """The same answers are interrupted twice: their worker gets SIGTERM, the next one SIGKILL."""
    rig, people = bench.rig, bench.crowd.people[:ANSWERS]
    await bench.control.begin(LONG)
    await asyncio.to_thread(rig.end_workers)
    first = await asyncio.to_thread(rig.start_worker, JOBS_GRACE_SECONDS="0")
    asking = [asyncio.create_task(person.ask(PATIENCE)) for person in people]
    await _until(lambda: _all_have_begun(people, attempt=1))
    second = await asyncio.to_thread(rig.start_worker)
    handed_back = time.time()
    os.kill(first.pid, signal.SIGTERM)
    await _until(lambda: _all_have_begun(people, attempt=2))
    await asyncio.to_thread(rig.start_worker)
    killed = time.time()
    os.kill(second.pid, signal.SIGKILL)
    answers = await asyncio.gather(*asking)
    after_flush = await _after_flush(bench)
    await asyncio.to_thread(rig.replace_workers)
    return Result(
        "recovery",
        [
            Row(
                f"{ANSWERS} answers of a worker that gets SIGTERM, grace 0 s, continue after",
                _slowest(answers, 2) - handed_back,
                "s",
                5,
            ),
            Row(
                f"{ANSWERS} answers of a worker that is killed (lease 20 s) continue after",
                _slowest(answers, 3) - killed,
                "s",
                30,
            ),
            Row(f"{ANSWERS} waiting jobs that Redis forgot (FLUSHALL) begin after", after_flush, "s", 15),
        ],
        ["the slowest answer of each row, as its viewer saw it"],
    )


async def _after_flush(bench: Bench) -> float:
    """Seconds from FLUSHALL until the jobs whose queue entries it removed are running."""
    await bench.control.begin(AT_ONCE, deltas=1)
    redis = Redis.from_url(os.environ["REDIS_URL"])
    await redis.set(f"{settings.REDIS_KEY_PREFIX}rq:suspended", 1)  # keeps jobs in the queue; FLUSHALL removes this too
    await asyncio.sleep(2)
    people = bench.crowd.people[:ANSWERS]
    asking = [asyncio.create_task(person.ask(PATIENCE)) for person in people]
    async with asyncio.timeout(PATIENCE):
        while await redis.llen(f"{settings.REDIS_KEY_PREFIX}rq:queue:interactive") < ANSWERS:
            await asyncio.sleep(POLL_SECONDS)
    flushed = time.time()
    await redis.flushall()
    await redis.aclose()
    return _slowest(await asyncio.gather(*asking), 1) - flushed


def _all_have_begun(people: list[Person], attempt: int) -> bool:
    return all(any(attempt in watched.attempts for watched in person.watched) for person in people)


def _slowest(answers: list[Answer], attempt: int) -> float:
    if missing := sum(attempt not in answer.attempts for answer in answers):
        raise Unexpected(f"{missing} answers had no attempt {attempt}")
    return max(answer.attempts[attempt] for answer in answers)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            await asyncio.sleep(POLL_SECONDS)
