"""Runs the scenarios one after the other and prints what they found."""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import signal
import sys
import time
from collections.abc import Sequence

import aiohttp

from tests.lab import report, rig
from tests.lab.bench import cpu
from tests.lab.bench.load import Unexpected, crowd
from tests.lab.bench.measuring import Bench
from tests.lab.bench.scenarios import BY_DEFAULT, SCENARIOS
from tests.lab.report import Result
from tests.lab.rig import Rig
from tests.lab.upstream import Control

PEOPLE = 300


def main(arguments: Sequence[str]) -> int:
    """Measure and print the report; 1 if a target was missed."""
    names = chosen(arguments)
    _allow_many_sockets()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    machine = report.machine(cpu.busy_percent(seconds=1.0))
    _say("starting a stack of its own")
    results: list[Result] = []
    try:
        with rig.running(PEOPLE) as running:
            asyncio.run(_run(running, names, results))
    except (Unexpected, TimeoutError) as problem:
        _say(f"the run is not complete: {problem}")
    finally:
        if results:
            print(report.render(machine, results), flush=True)
    return 0 if len(results) == len(names) and all(result.is_met for result in results) else 1


def chosen(arguments: Sequence[str]) -> list[str]:
    """The scenarios that the command line asks for."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure the platform on this machine.")
    parser.add_argument("--only", choices=SCENARIOS, nargs="+", help="leave the other scenarios out")
    only: list[str] | None = parser.parse_args(arguments).only
    return only or BY_DEFAULT


async def _run(running: Rig, names: list[str], results: list[Result]) -> None:
    _quieten_gc()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(running.url, connector=connector) as http:
        async with crowd(http, running.tokens) as people:
            bench = Bench(running, Control(http, running.simulator_url), people)
            for name in names:
                results.append(await _measure(name, bench))


async def _measure(name: str, bench: Bench) -> Result:
    began = time.monotonic()
    result = await SCENARIOS[name](bench)
    _say(f"{name} measured in {time.monotonic() - began:.0f} s")
    return result


def _allow_many_sockets() -> None:
    """In this process and in those that it starts: thousands of viewers are files to the system."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _quieten_gc() -> None:
    """A collection over all of Django's objects would be measured as latency of the server."""
    gc.collect()
    gc.freeze()


def _say(what: str) -> None:
    print(f"- {what}", file=sys.stderr, flush=True)
