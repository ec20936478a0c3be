"""What is measured. Each scenario finds the stack idle, and leaves it idle."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack.bench import people
from devstack.bench.cpu import Meter
from devstack.bench.load import Answer, Crowd, Unexpected, at_rate
from devstack.bench.personas import personas
from devstack.bench.report import Result, Row
from devstack.bench.rig import Rig
from devstack.bench.stats import mean, percentile, ratio
from devstack.bench.upstream import AT_ONCE, REALISTIC, Control, Latencies, Upstream

IN_FLIGHT = 100
SECONDS = 15.0  # of measuring under load, after everything is under way
POSTS_PER_SECOND = 30
# At 30 questions a second, answers that take 3.3 s from the POST to the end make about 100 in flight.
FOR_100_AT_30 = Latencies(embedding=0.2, first_token=0.5, stream=2.5)
IDLE_QUESTIONS = 150
GETS_PER_SECOND = 20
CPU_DELTAS = 100
CPU_IN_FLIGHT = 50  # enough to be busy, few enough that nothing waits for a processor
SDK_LOOP = Path(__file__).parent / "sdk_loop.py"


@dataclass(frozen=True)
class Bench:
    """What scenarios work with."""

    rig: Rig
    control: Control
    crowd: Crowd


async def accept(bench: Bench) -> Result:
    """POST to 202: at idle, and with 100 answers in flight and 30 posts a second."""
    idle = await _one_by_one(bench, IDLE_QUESTIONS)
    await bench.control.begin(FOR_100_AT_30)
    crowd, in_flight = bench.crowd, list[int]()

    async def ask(index: int) -> Answer:
        in_flight.append(crowd.in_flight)
        return await crowd.ask(crowd.people[index % len(crowd.people)])

    meter, ramp = Meter(bench.rig.pids), FOR_100_AT_30.total
    answers = await asyncio.gather(*await at_rate(POSTS_PER_SECOND, ramp + SECONDS, ask))
    cpu, remarks = _usage(meter, answers)
    warm = round(POSTS_PER_SECOND * ramp)
    loaded = [answer.accept_ms for answer in answers[warm:]]
    under_load = f"POST to 202, {IN_FLIGHT} answers in flight, {POSTS_PER_SECOND} posts/s"
    return Result(
        "accept",
        [
            *_latency_rows("POST to 202, idle", idle),
            *_latency_rows(under_load, loaded, 25, 100),
            Row("the same, p99 against idle", ratio(percentile(loaded, 99), percentile(idle, 99)), "x"),
        ],
        [f"{len(loaded)} posts measured, {mean(in_flight[warm:]):.0f} answers in flight on average", *remarks],
        cpu,
    )


async def answers(bench: Bench) -> Result:
    """100 streamed answers at a time in one worker: how much longer than the upstream took, how soon shown."""
    await bench.control.begin(REALISTIC)
    meter, began = Meter(bench.rig.pids), time.time()
    until = began + REALISTIC.total + SECONDS
    every = await bench.crowd.keep_asking(IN_FLIGHT, REALISTIC.total, until)
    cpu, remarks = _usage(meter, every)
    # Only those that had 99 others beside them from beginning to end.
    full = [a for a in every if a.posted_at > began + REALISTIC.total and a.ended_at < until]
    if not full:
        raise Unexpected(f"no answer was written beside {IN_FLIGHT - 1} others from beginning to end")
    took = await bench.control.timings()
    claimed = await asyncio.to_thread(people.claimed_at, [answer.job_id for answer in full])
    ratios = [ratio(a.ended_at - claimed[a.job_id], took[a.number].seconds) for a in full]
    waited = [(claimed[a.job_id] - a.posted_at) * 1000 for a in full]
    shown = [(a.first_delta_at - took[a.number].first_token_at) * 1000 for a in full]
    return Result(
        "answers",
        [
            *_latency_rows("POST to claim", waited),
            Row("answer from claim to end against its calls, worst", percentile(ratios, 100), "x", 1.15, True),
            Row("the same, p95", percentile(ratios, 95), "x", 1.15, True),
            Row("first delta at the viewer after the first token, p50", percentile(shown, 50), "ms"),
            Row("the same, p95", percentile(shown, 95), "ms", 250),
        ],
        [
            _throughput(full, took, until - began - REALISTIC.total),
            f"POST to 202 took {mean([answer.accept_ms for answer in full]):.0f} ms on average",
            *remarks,
        ],
        cpu,
    )


async def cpu(bench: Bench) -> Result:
    """Processor time of the worker for an answer of 100 deltas, against the SDK's own loop over the same stream."""
    await bench.control.begin(REALISTIC, deltas=CPU_DELTAS)
    meter = Meter(bench.rig.pids)
    every = await bench.crowd.keep_asking(CPU_IN_FLIGHT, REALISTIC.total, time.time() + REALISTIC.total + SECONDS)
    used, remarks = _usage(meter, every)
    alone = {client: await _sdk_loop(f"{bench.rig.simulator_url}/v1", client) for client in ("httpx", "aiohttp")}
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
    """GET of a lesson, no AI involved: at idle, and with 100 answers in flight."""
    await _one_by_one(bench, IN_FLIGHT // 5)
    idle = await _get_lessons(bench)
    await bench.control.begin(REALISTIC)
    ramp = REALISTIC.total
    meter = Meter(bench.rig.pids)
    background = asyncio.create_task(bench.crowd.keep_asking(IN_FLIGHT, ramp, time.time() + ramp + SECONDS))
    await asyncio.sleep(ramp)
    loaded = await _get_lessons(bench)
    beside = await background
    cpu, remarks = _usage(meter, beside)
    worse = ratio(percentile(loaded, 99), percentile(idle, 99))
    return Result(
        "lessons",
        [
            *_latency_rows("GET of a lesson, idle", idle),
            *_latency_rows(f"GET of a lesson, {IN_FLIGHT} answers in flight", loaded),
            Row("the same, p99 against idle", worse, "x", 2, True),
        ],
        [f"{len(loaded)} calls measured, {GETS_PER_SECOND} a second; {len(beside)} answers beside them", *remarks],
        cpu,
    )


SCENARIOS: dict[str, Callable[[Bench], Awaitable[Result]]] = {
    "accept": accept,
    "answers": answers,
    "cpu": cpu,
    "lessons": lessons,
    "personas": personas,
}


async def _sdk_loop(url: str, client: str) -> float:
    program = await asyncio.create_subprocess_exec(
        sys.executable, str(SDK_LOOP), url, client, str(CPU_IN_FLIGHT), "3", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await program.communicate()
    if program.returncode:
        raise Unexpected("the SDK loop failed")
    return float(json.loads(output))


async def _one_by_one(bench: Bench, count: int) -> list[float]:
    """Milliseconds to 202 with nothing else to do: each question after the last one's answer."""
    await bench.control.begin(AT_ONCE, deltas=1)
    return [(await bench.crowd.ask(bench.crowd.people[0])).accept_ms for _ in range(count)]


async def _get_lessons(bench: Bench) -> list[float]:
    person, path = bench.crowd.people[-1], bench.rig.lesson_path
    return await asyncio.gather(*await at_rate(GETS_PER_SECOND, SECONDS, lambda _: person.get_ms(path)))


def _latency_rows(what: str, values: Sequence[float], p50: float | None = None, p99: float | None = None) -> list[Row]:
    return [
        Row(f"{what}, p50", percentile(values, 50), "ms", p50),
        Row("the same, p99", percentile(values, 99), "ms", p99),
    ]


def _throughput(full: Sequence[Answer], took: dict[int, Upstream], seconds: float) -> str:
    ideal = mean([took[answer.number].seconds for answer in full])
    return f"{len(full)} answers measured, {len(full) / seconds:.1f} a second, {ideal:.2f} s upstream on average"


def _usage(meter: Meter, answers: Sequence[Answer]) -> tuple[dict[str, float], list[str]]:
    """Milliseconds of processor time for each answer, and what else the reader must know about the measurement."""
    cpu = {part: seconds * 1000 / len(answers) for part, seconds in meter.parts().items()}
    remarks = [f"other programs used {meter.others_percent():.0f} % of the machine meanwhile"]
    if missed := sum(answer.missed for answer in answers):
        remarks.append(f"the end of {missed} answers was never pushed, their viewers had to ask for it")
    return cpu, remarks
