"""The same jobs on RQ's stock worker, which forks for each, with as many processes as there are cores."""

from __future__ import annotations

import asyncio
import os
import time

from tests.lab.bench.measuring import Bench
from tests.lab.report import Result, Row
from tests.lab.stats import ratio
from tests.lab.upstream import REALISTIC

STOCK_SECONDS = 18.0
SECONDS = 8.0
IN_FLIGHT = 100
TIMES = 20


async def stock(bench: Bench) -> Result:
    """Answers per second of one AsyncWorker, and of stock workers on all cores."""
    cores = os.cpu_count() or 1
    ours = await _per_second(bench, IN_FLIGHT, SECONDS)
    await asyncio.to_thread(bench.rig.fleet.end_workers)
    starts = (asyncio.to_thread(bench.rig.fleet.start_worker, "--worker-class", "rq.Worker") for _ in range(cores))
    await asyncio.gather(*starts)
    theirs = await _per_second(bench, 2 * cores, STOCK_SECONDS)  # one in work and one in the queue for each
    await renew_worker(bench)
    return Result(
        "stock",
        [
            Row(f"answers of {REALISTIC.total:.1f} s, one AsyncWorker, {IN_FLIGHT} in flight", ours, "/s"),
            Row(f"the same answers, {cores} stock RQ workers (a fork for each)", theirs, "/s"),
            Row("AsyncWorker against stock workers", ratio(ours, theirs), "x", TIMES, at_least=True),
        ],
    )


async def renew_worker(bench: Bench) -> None:
    """One worker of the usual kind, whatever there was."""
    fleet = bench.rig.fleet
    await asyncio.to_thread(fleet.end_workers)
    bench.rig.pids["worker"] = (await asyncio.to_thread(fleet.start_worker)).pid


async def _per_second(bench: Bench, in_flight: int, seconds: float) -> float:
    await bench.control.begin(REALISTIC)
    full_from = time.time() + REALISTIC.total
    every = await bench.crowd.keep_asking(in_flight, REALISTIC.total, full_from + seconds)
    return sum(full_from < answer.ended_at < full_from + seconds for answer in every) / seconds
