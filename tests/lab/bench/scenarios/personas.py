"""A batch of profile renewals beside learners who ask: its effect on the time to the first word."""

from __future__ import annotations

import asyncio
import time

from tests.lab.bench import rows
from tests.lab.bench.cpu import Meter
from tests.lab.bench.load import Answer, Unexpected, at_rate
from tests.lab.bench.measuring import Bench
from tests.lab.report import Result, Row
from tests.lab.stats import percentile, ratio
from tests.lab.upstream import REALISTIC

PROFILES = 500
QUESTIONS_PER_SECOND = 5
SECONDS = 30.0  # of asking, alone and then beside the batch, which takes longer
WARM_UP = 3.0
BATCH_TIMEOUT = 600.0


async def personas(bench: Bench) -> Result:
    """Time to the first word of an answer: without a batch, and while 500 profiles are classified again."""
    await bench.control.begin(REALISTIC)
    await asyncio.to_thread(rows.create_profiles, PROFILES)
    await _ask(bench, WARM_UP)
    alone = await _ask(bench, SECONDS)
    meter, began = Meter(bench.rig.pids), time.time()
    await asyncio.to_thread(rows.renew_profiles)
    beside = await _ask(bench, SECONDS)
    left = await asyncio.to_thread(rows.renewals_left)
    if not left:
        raise Unexpected(f"the batch took less than the {SECONDS:.0f} s of questions beside it")
    others = meter.others_percent()
    await _until_renewed()
    return Result(
        "personas",
        [
            Row("first delta after the POST, no batch, p50", percentile(alone, 50), "ms"),
            Row("the same, p95", percentile(alone, 95), "ms"),
            Row(f"first delta after the POST, beside {PROFILES} renewals, p50", percentile(beside, 50), "ms"),
            Row("the same, p95", percentile(beside, 95), "ms"),
            Row("p95 against no batch", ratio(percentile(beside, 95), percentile(alone, 95)), "x", 1.1, True),
        ],
        [
            f"{len(beside)} questions, {QUESTIONS_PER_SECOND} a second",
            f"{PROFILES - left} profiles were classified during these questions, all after {time.time() - began:.0f} s",
            f"other programs used {others:.0f} % of the machine",
        ],
    )


async def _ask(bench: Bench, seconds: float) -> list[float]:
    """Milliseconds from POST to first delta of questions at a steady rate."""
    crowd = bench.crowd

    async def ask(index: int) -> Answer:
        return await crowd.ask(crowd.people[index % len(crowd.people)])

    answers = await asyncio.gather(*await at_rate(QUESTIONS_PER_SECOND, seconds, ask))
    return [(answer.first_delta_at - answer.posted_at) * 1000 for answer in answers]


async def _until_renewed() -> None:
    async with asyncio.timeout(BATCH_TIMEOUT):
        while await asyncio.to_thread(rows.renewals_left):
            await asyncio.sleep(1)
