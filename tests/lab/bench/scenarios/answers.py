"""Many concurrent streamed answers in one worker: how long they take and how soon their text is shown."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.lab.bench import rows
from tests.lab.bench.cpu import Meter
from tests.lab.bench.load import Unexpected
from tests.lab.bench.measuring import Bench, usage
from tests.lab.report import Result, Row
from tests.lab.stats import mean, percentile, ratio
from tests.lab.upstream import LONG, OLD, REALISTIC, Control, Latencies, number_of

SECONDS = 6.0  # under full load, in which the measured answers are asked for
NEAR_IDEAL = 1.15
MOST_MB = 350
RUNS = ((OLD, 50), (OLD, 100), (OLD, 300), (LONG, 300))
ANSWER_CALLS = ("embedding", "rewrite", "answer")
STEPS = (40, 60, 80, 100)  # answers in flight of 3.7 s each, until the target is missed


@dataclass(frozen=True)
class Run:
    """The measurements of one constant number of answers in flight."""

    per_second: float
    ratios: list[float]  # of each answer: time from claim to end / time of its calls
    waited: list[float]  # milliseconds from POST to claim
    whole: list[float]  # of each answer: time from POST to end / time of its calls
    shown: list[float]  # milliseconds from the upstream's first token to the first delta at the viewer
    memory_mb: float
    cpu: dict[str, float]
    remarks: list[str]


@dataclass
class Upstream:
    """What the upstream took for one answer: the seconds of all its calls, and when it sent the first token."""

    seconds: float = 0.0
    first_token_at: float = 0.0


async def answers(bench: Bench) -> Result:
    """50, 100 and 300 in flight at the replaced system's latencies, and the most short ones near their ideal."""
    result = Result("answers")
    for latencies, in_flight in RUNS:
        run = await measure(bench, latencies, in_flight)
        result.rows += _rows(run, latencies, in_flight)
        result.notes += [f"{in_flight} in flight of {latencies.total:.1f} s: {_remarks(run)}"]
        result.cpu = result.cpu or run.cpu
    most = 0
    for in_flight in STEPS:
        run = await measure(bench, REALISTIC, in_flight)
        p95 = percentile(run.whole, 95)
        result.notes.append(f"{in_flight} in flight of {REALISTIC.total:.1f} s: p95 {p95:.2f}x, {_remarks(run)}")
        if p95 > NEAR_IDEAL:
            break
        most = in_flight
    what = f"most in flight of {REALISTIC.total:.1f} s each, of {STEPS}, from POST to end within {NEAR_IDEAL}x, p95"
    result.rows.append(Row(what, most, "", STEPS[-1], at_least=True))
    return result


async def measure(bench: Bench, latencies: Latencies, in_flight: int) -> Run:
    """Keep this many answers in flight and measure those that were asked for under full load."""
    await bench.control.begin(latencies)
    meter, began = Meter(bench.rig.pids), time.time()
    full_from = began + latencies.total
    full_until = full_from + SECONDS
    memory = asyncio.create_task(most_memory(bench.rig.pids["worker"]))
    every = await bench.crowd.keep_asking(in_flight, latencies.total, full_until + latencies.total)
    memory.cancel()
    cpu, remarks = usage(meter, every)
    ended = [a for a in every if full_from < a.ended_at < full_until + latencies.total]
    full = [a for a in every if full_from < a.posted_at < full_until]
    took = await _timings(bench.control)
    full = [answer for answer in full if answer.number in took]  # the simulator remembers only the last requests
    if not full:
        raise Unexpected("no answer was asked for under full load")
    claimed = await asyncio.to_thread(rows.claimed_at, [answer.job_id for answer in full])
    return Run(
        len(ended) / (SECONDS + latencies.total),
        [ratio(a.ended_at - claimed[a.job_id], took[a.number].seconds) for a in full],
        [(claimed[a.job_id] - a.posted_at) * 1000 for a in full],
        [ratio(a.ended_at - a.posted_at, took[a.number].seconds) for a in full],
        [(a.first_delta_at - took[a.number].first_token_at) * 1000 for a in full],
        await memory,
        cpu,
        [f"{len(full)} answers measured", f"POST to 202 {mean([a.accept_ms for a in full]):.0f} ms", *remarks],
    )


async def _timings(control: Control) -> dict[int, Upstream]:
    """For each question's number, what the upstream took for it since the last reset."""
    seen: dict[int, Upstream] = {}
    for request in await control.requests():
        if request["purpose"] not in ANSWER_CALLS:
            continue  # suggested follow-up questions are made after the answer
        answer = seen.setdefault(number_of(request), Upstream())
        answer.seconds += request["finished_at"] - request["received_at"]
        if request["purpose"] == "answer":
            answer.first_token_at = request["first_token_at"]
    return seen


async def most_memory(pid: int) -> float:
    """Sample a process's resident memory until cancelled; returns the maximum in MiB."""
    most = 0.0
    with suppress(asyncio.CancelledError):
        while True:
            most = max(most, psutil.Process(pid).memory_info().rss / 2**20)
            await asyncio.sleep(0.5)
    return most


def _rows(run: Run, latencies: Latencies, in_flight: int) -> list[Row]:
    what = f"{in_flight} answers in flight of {latencies.total:.1f} s"
    rows = [
        Row(f"{what}: answers per second (ideal {in_flight / latencies.total:.1f})", run.per_second, "/s"),
        Row("from POST to claim, p95", percentile(run.waited, 95), "ms"),
        Row("from claim to end against its calls, p95", percentile(run.ratios, 95), "x", NEAR_IDEAL, True),
        Row("the same, worst", percentile(run.ratios, 100), "x", NEAR_IDEAL, True),
        Row("first delta at the viewer after the first token, p50", percentile(run.shown, 50), "ms"),
        Row("the same, p95", percentile(run.shown, 95), "ms", 150 if in_flight == 100 else 250),
    ]
    if in_flight == 300:
        rows.append(Row("resident memory of the worker", run.memory_mb, "MiB", MOST_MB))
    return rows


def _remarks(run: Run) -> str:
    used = f"processor ms an answer: {', '.join(f'{part} {ms:.0f}' for part, ms in run.cpu.items())}"
    return ", ".join([*run.remarks, used])
