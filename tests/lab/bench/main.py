"""Runs the scenarios one after the other and prints the report."""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import time
from collections.abc import Sequence

import aiohttp

from tests.lab import report, rig
from tests.lab.bench import rows
from tests.lab.bench.load import Unexpected, crowd
from tests.lab.bench.measuring import Bench
from tests.lab.bench.scenarios import BY_DEFAULT, SCENARIOS
from tests.lab.report import Result, say
from tests.lab.rig import Rig
from tests.lab.upstream import Control

PEOPLE = 300
# One worker takes everything that is asked at once, and a person may have many jobs.
ENVIRONMENT = rig.RATE | {"LOG_FORMAT": "json", "JOBS_PER_WORKER": "300", "JOBS_PER_PERSON": "1000"}


def main(arguments: Sequence[str]) -> int:
    """Measure and print the report; 1 if a target was missed."""
    names = chosen(arguments)
    _raise_open_files_limit()
    machine = report.machine()
    say("starting the platform")
    results: list[Result] = []
    try:
        with rig.running("bench", ENVIRONMENT, PEOPLE) as running:
            asyncio.run(_run(running, names, results))
    except (Unexpected, TimeoutError) as problem:
        say(f"the run is incomplete: {problem}")
    finally:
        if results:
            print(report.render(machine, results), flush=True)
    return 0 if len(results) == len(names) and all(result.is_met for result in results) else 1


def chosen(arguments: Sequence[str]) -> list[str]:
    """The names of the scenarios to run."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure the platform on this machine.")
    parser.add_argument("--only", choices=SCENARIOS, nargs="+", help="run these scenarios and no others")
    only: list[str] | None = parser.parse_args(arguments).only
    return only or BY_DEFAULT


async def _run(running: Rig, names: list[str], results: list[Result]) -> None:
    # Otherwise the collector's passes over all of Django's objects would be measured as latency of the server.
    gc.collect()
    gc.freeze()
    lesson_path = await asyncio.to_thread(rows.lesson_path)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(running.url, connector=connector) as http:
        async with crowd(http, running.tokens) as people:
            bench = Bench(running, Control(http, running.parts.simulator_url), people, lesson_path)
            for name in names:
                began = time.monotonic()
                results.append(await SCENARIOS[name](bench))
                say(f"{name} measured in {time.monotonic() - began:.0f} s")


def _raise_open_files_limit() -> None:
    """Allow this process, and those that it starts, as many open files as the system permits: each viewer is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
