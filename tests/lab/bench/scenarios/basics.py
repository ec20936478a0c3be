"""The basic requests: accepting a question, writing an answer, serving a lesson beside running answers."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from tests.lab import past
from tests.lab.bench import rows, sdk_loop
from tests.lab.bench.cpu import Meter
from tests.lab.bench.load import Answer, Unexpected, at_rate
from tests.lab.bench.measuring import GETS_PER_SECOND, Bench, latency_rows, one_by_one, usage
from tests.lab.report import Result, Row
from tests.lab.stats import mean, percentile, ratio
from tests.lab.upstream import OLD, REALISTIC, Latencies

IN_FLIGHT = 100
SECONDS = 15.0  # of measuring under full load
POSTS_PER_SECOND = 30
# At 30 questions a second, answers that take 3.3 s from POST to end keep about 100 in flight.
FOR_100_AT_30 = Latencies(embedding=0.2, first_token=0.5, stream=2.5)
IDLE_QUESTIONS = 150
CPU_DELTAS = 100
CPU_IN_FLIGHT = 50  # the machine is busy, but nothing waits for a processor
SDK_LOOP = Path(sdk_loop.__file__)


async def accept(bench: Bench) -> Result:
    """POST to 202: on an idle platform, with 100 answers in flight and 30 posts a second, and with 400,000 jobs."""
    with_jobs, idle = await _with_jobs(bench)
    await bench.control.begin(FOR_100_AT_30)
    meter, ramp = Meter(bench.rig.pids), FOR_100_AT_30.total
    answers, in_flight = await _answers_at_rate(bench, POSTS_PER_SECOND, ramp + SECONDS)
    cpu, remarks = usage(meter, answers)
    loaded = [answer.accept_ms for answer in answers[round(POSTS_PER_SECOND * ramp) :]]
    under_load = f"POST to 202, {IN_FLIGHT} answers in flight, {POSTS_PER_SECOND} posts/s"
    return Result(
        "accept",
        [
            *latency_rows("POST to 202, idle", idle),
            *latency_rows(under_load, loaded, 25, 100),
            Row("the same, p99 against idle", ratio(percentile(loaded, 99), percentile(idle, 99)), "x"),
            *latency_rows(f"POST to 202, idle, with {past.JOBS:,} jobs", with_jobs),
            Row("the same, p50 against none", ratio(percentile(with_jobs, 50), percentile(idle, 50)), "x", 1.25, True),
        ],
        [f"{len(loaded)} posts measured, {in_flight:.0f} answers in flight on average", *remarks],
        cpu,
    )


async def _with_jobs(bench: Bench) -> tuple[list[float], list[float]]:
    """Milliseconds of the same POSTs with the rows of 80 days in the database, and without them.

    Without them before and after, since other programs use more or less of the machine from minute to minute.
    """
    without = await one_by_one(bench, IDLE_QUESTIONS)
    await asyncio.to_thread(rows.load_past)
    try:
        with_jobs = await one_by_one(bench, IDLE_QUESTIONS)
    finally:
        await asyncio.to_thread(rows.unload_past)
    return with_jobs, without + await one_by_one(bench, IDLE_QUESTIONS)


async def cpu(bench: Bench) -> Result:
    """Processor time of the worker for an answer of 100 deltas, compared with the SDK's own loop over that stream."""
    await bench.control.begin(REALISTIC, deltas=CPU_DELTAS)
    meter = Meter(bench.rig.pids)
    every = await bench.crowd.keep_asking(CPU_IN_FLIGHT, REALISTIC.total, time.time() + REALISTIC.total + SECONDS)
    used, remarks = usage(meter, every)
    alone = {client: await _sdk_loop(f"{bench.rig.parts.simulator_url}/v1", client) for client in ("httpx", "aiohttp")}
    return Result(
        "cpu",
        [
            Row(f"worker's processor time for an answer of {CPU_DELTAS} deltas, all of it", used["worker"], "ms"),
            Row("the SDK's loop alone over that stream (httpx, its default)", alone["httpx"], "ms"),
            Row("the SDK's loop alone over that stream (aiohttp)", alone["aiohttp"], "ms"),
            Row("the worker against the SDK's loop", ratio(used["worker"], alone["httpx"]), "x", 1.25, True),
        ],
        [f"{len(every)} answers", *remarks],
        used,
    )


async def lessons(bench: Bench) -> Result:
    """GET of a lesson, which uses no AI: on an idle platform, and with 100 answers in flight."""
    await one_by_one(bench, IN_FLIGHT // 5)
    idle = await get_lessons(bench)
    await bench.control.begin(OLD)
    ramp = OLD.total
    meter = Meter(bench.rig.pids)
    # At a steady rate: people who ask again as soon as an answer ends would soon all ask at the same moment.
    background = asyncio.create_task(_answers_at_rate(bench, IN_FLIGHT / ramp, ramp + SECONDS))
    await asyncio.sleep(ramp)
    loaded = await get_lessons(bench)
    beside, in_flight = await background
    cpu, remarks = usage(meter, beside)
    worse = ratio(percentile(loaded, 99), percentile(idle, 99))
    return Result(
        "lessons",
        [
            *latency_rows("GET of a lesson, idle", idle),
            *latency_rows(f"GET of a lesson, {IN_FLIGHT} answers in flight", loaded),
            Row("the same, p99 against idle", worse, "x", 2, True),
        ],
        [
            f"{len(loaded)} calls measured, {GETS_PER_SECOND} a second; {in_flight:.0f} answers in flight on average",
            *remarks,
        ],
        cpu,
    )


async def _answers_at_rate(bench: Bench, rate: float, seconds: float) -> tuple[list[Answer], float]:
    """Ask `rate` questions a second; returns the answers and the mean number in flight during the second half."""
    crowd, in_flight = bench.crowd, list[int]()

    async def ask(index: int) -> Answer:
        in_flight.append(crowd.in_flight)
        return await crowd.ask(crowd.people[index % len(crowd.people)])

    answers = await asyncio.gather(*await at_rate(rate, seconds, ask))
    return answers, mean(in_flight[len(in_flight) // 2 :])


async def _sdk_loop(url: str, client: str) -> float:
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(SDK_LOOP), url, client, str(CPU_IN_FLIGHT), "3", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await program.communicate()
    if program.returncode:
        raise Unexpected("the SDK loop failed")
    return float(json.loads(output))


async def get_lessons(bench: Bench) -> list[float]:
    """Milliseconds of each GET of a lesson, at GETS_PER_SECOND."""
    person, path = bench.crowd.people[-1], bench.lesson_path
    return await asyncio.gather(*await at_rate(GETS_PER_SECOND, SECONDS, lambda _: person.get_ms(path)))
