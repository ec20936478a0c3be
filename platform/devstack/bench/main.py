"""Runs the scenarios one after the other and prints what they found."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
import time
from collections.abc import Sequence

import aiohttp

from devstack.bench import cpu, report, rig
from devstack.bench.load import Unexpected, crowd
from devstack.bench.report import Result
from devstack.bench.rig import Rig
from devstack.bench.scenarios import SCENARIOS, Bench
from devstack.bench.upstream import Control

PEOPLE = 150


def main(arguments: Sequence[str]) -> int:
    """Measure and print the report; 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure the platform on this machine.")
    parser.add_argument("--only", choices=SCENARIOS, help="leave the other scenarios out")
    only: str | None = parser.parse_args(arguments).only
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    machine = report.machine(cpu.busy_percent(seconds=1.0))
    _say("starting a stack of its own")
    try:
        with rig.running(PEOPLE) as running:
            results = asyncio.run(_run(running, [only] if only else list(SCENARIOS)))
    except (Unexpected, TimeoutError) as problem:
        _say(f"nothing was measured: {problem}")
        return 1
    print(report.render(machine, results))
    return 0 if all(result.is_met for result in results) else 1


async def _run(running: Rig, names: list[str]) -> list[Result]:
    _quieten_gc()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(running.url, connector=connector) as http:
        async with crowd(http, running.tokens) as people:
            bench = Bench(running, Control(http, running.simulator_url), people)
            return [await _measure(name, bench) for name in names]


async def _measure(name: str, bench: Bench) -> Result:
    began = time.monotonic()
    result = await SCENARIOS[name](bench)
    _say(f"{name} measured in {time.monotonic() - began:.0f} s")
    return result


def _quieten_gc() -> None:
    """A collection over all of Django's objects would be measured as latency of the server."""
    gc.collect()
    gc.freeze()


def _say(what: str) -> None:
    print(f"- {what}", file=sys.stderr, flush=True)
