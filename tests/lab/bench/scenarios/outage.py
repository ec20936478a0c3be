"""Five minutes without the upstream while people keep asking. Takes longer than all other scenarios together."""

from __future__ import annotations

import asyncio
import itertools
import time

from tests.lab.bench import rows
from tests.lab.bench.load import Answer, at_rate
from tests.lab.bench.measuring import GETS_PER_SECOND, Bench
from tests.lab.bench.scenarios.basics import get_lessons
from tests.lab.report import Result, Row
from tests.lab.stats import percentile, ratio
from tests.lab.upstream import REALISTIC

OUTAGE = 300.0
QUESTIONS_PER_SECOND = 5
PATIENCE = 900.0
LESSON_SAMPLES = 4  # spread over the outage


async def outage(bench: Bench) -> Result:
    """Nothing fails, lessons stay fast, and the backlog drains without a burst of upstream calls."""
    await bench.control.begin(REALISTIC)
    failed_before = await asyncio.to_thread(rows.failed_jobs)
    idle = [ms for _ in range(2) for ms in await get_lessons(bench)]
    await bench.control.change(down=True)
    began = time.time()
    asking = asyncio.create_task(at_rate(QUESTIONS_PER_SECOND, OUTAGE, lambda n: _ask(bench, n)))
    meanwhile = await _lessons_meanwhile(bench)
    questions = await asking
    calls_during = (await bench.control.counters())["requests"]
    await bench.control.change(down=False)
    ended = time.time()
    watching = asyncio.create_task(_calls_per_second(bench))
    answers = await asyncio.gather(*questions, return_exceptions=True)
    watching.cancel()
    rate = await watching
    failed = await asyncio.to_thread(rows.failed_jobs) - failed_before
    good = [answer for answer in answers if isinstance(answer, Answer)]
    drained = max(answer.ended_at for answer in good) - ended
    return Result(
        "outage",
        [
            Row(f"jobs that failed of {len(answers)} asked in an outage of {ended - began:.0f} s", failed, "", 0, True),
            Row("questions that were refused or not answered", len(answers) - len(good), "", 0, True),
            *_lesson_rows(idle, meanwhile),
            Row("backlog worked off after", drained, "s"),
            Row("upstream calls in the busiest second after the outage", max(rate), ""),
            Row("against the mean until the backlog was worked off", ratio(max(rate), 2 * len(good) / drained), "x"),
        ],
        [
            f"{QUESTIONS_PER_SECOND} questions and {GETS_PER_SECOND} lessons a second",
            f"{calls_during} calls were tried during the outage",
            f"order: {overtaken(good) * 100:.0f} % of pairs asked a minute apart were answered in the opposite order",
            *sorted({str(each)[:120] for each in answers if isinstance(each, BaseException)})[:3],
        ],
    )


async def _lessons_meanwhile(bench: Bench) -> list[float]:
    meanwhile = []
    for _ in range(LESSON_SAMPLES):
        await asyncio.sleep(OUTAGE / LESSON_SAMPLES / 2)
        meanwhile += await get_lessons(bench)
    return meanwhile


def _lesson_rows(idle: list[float], meanwhile: list[float]) -> list[Row]:
    return [
        Row("GET of a lesson, idle, p99", percentile(idle, 99), "ms"),
        Row("GET of a lesson during the outage, p99", percentile(meanwhile, 99), "ms"),
        Row("against idle", ratio(percentile(meanwhile, 99), percentile(idle, 99)), "x", 1.5, True),
    ]


async def _ask(bench: Bench, number: int) -> Answer:
    crowd = bench.crowd
    crowd.in_flight += 1
    try:
        return await crowd.people[number % len(crowd.people)].ask(PATIENCE)
    finally:
        crowd.in_flight -= 1


async def _calls_per_second(bench: Bench) -> list[float]:
    """Requests a second, sampled once a second until cancelled."""
    seen = [await _requests(bench)]
    try:
        while True:
            await asyncio.sleep(1)
            seen.append(await _requests(bench))
    except asyncio.CancelledError:
        return [(after[1] - before[1]) / (after[0] - before[0]) for before, after in itertools.pairwise(seen)]


async def _requests(bench: Bench) -> tuple[float, int]:
    """A time and the number of requests until then. The time is needed because a busy machine samples late."""
    count = (await bench.control.counters())["requests"]
    return time.monotonic(), count


def overtaken(answers: list[Answer]) -> float:
    """The share of pairs, asked a minute apart, whose answers ended in the opposite order."""
    ordered = sorted(answers, key=lambda answer: answer.posted_at)
    step = QUESTIONS_PER_SECOND * 60
    pairs = list(zip(ordered, ordered[step:], strict=False))
    return sum(first.ended_at > second.ended_at for first, second in pairs) / max(1, len(pairs))
