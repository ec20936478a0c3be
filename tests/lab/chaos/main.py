"""Runs the questions and the havoc side by side, waits for the last answer, and prints the account."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.lab import report
from tests.lab.bench import cpu
from tests.lab.chaos import checks as account
from tests.lab.chaos import database as books
from tests.lab.chaos import plan, rig
from tests.lab.chaos.checks import Story
from tests.lab.chaos.injector import Havoc
from tests.lab.chaos.people import Diary, Person, Schedule, ask_all
from tests.lab.chaos.plan import Weather
from tests.lab.chaos.rig import Rig
from tests.lab.chaos.upstream import Upstream

QUESTIONS_PER_SECOND = 4.0
SETTLE_SECONDS = 150.0  # for what is still under way when the faults have stopped


def main(arguments: Sequence[str]) -> int:
    """Do it and print the account; 1 if a promise was broken."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    machine = report.machine(cpu.busy_percent(seconds=1.0))
    _say(f"seed {options.seed}; starting a stack of its own")
    with rig.running(options.people) as running:
        story = asyncio.run(_run(running, Schedule(options.questions, options.seconds), options.seed))
        found = account.promises(story)
        is_kept = not any(promise.offenders for promise in found)
        if not is_kept:
            _say(f"the logs are kept in {_keep(running)}")
    print(account.render(machine, story, found))
    return 0 if is_kept else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev chaos", description="Kill everything and see what is lost.")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, help="of asking and killing; by default 4 questions a second")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="to repeat a plan")
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or options.questions / QUESTIONS_PER_SECOND
    return options


async def _run(running: Rig, schedule: Schedule, seed: int) -> Story:
    diary = Diary()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(running.url, connector=connector) as http:
        upstream = Upstream(http, running.parts.simulator_url)
        havoc = Havoc(running, upstream)
        people = [Person(http, token, diary) for token in running.tokens]
        beside = [havoc.keep_running(), havoc.keep_looking()]
        beside += [duty for person in people for duty in (person.watch(), person.poll())]
        async with _side_by_side(beside):
            asking = asyncio.create_task(ask_all(people, schedule))
            _say(f"{schedule.questions} questions from {len(people)} people in {schedule.seconds:.0f} s")
            await asyncio.gather(
                havoc.strike(plan.blows(seed, schedule.seconds)), havoc.blow(plan.weather(seed, schedule.seconds))
            )
            await upstream.set(Weather(0.0))
            _say("the faults have stopped; waiting for the last answers")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asking, SETTLE_SECONDS)
            await asyncio.to_thread(books.wait_until_ended, SETTLE_SECONDS)
        billed = await upstream.billed()
        read = await asyncio.to_thread(books.read)
        return Story(schedule.questions, rig.MAX_FAILURES, diary, read, billed, havoc.struck, havoc.ended)


@asynccontextmanager
async def _side_by_side(duties: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Do these while the block lasts. One that fails is an error of this program: it is raised at the end."""
    tasks = [asyncio.create_task(duty) for duty in duties]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _keep(running: Rig) -> str:
    """A copy of the logs that outlives the stack."""
    return shutil.copytree(running.logs, tempfile.mkdtemp(prefix="course-ai-chaos-logs-"), dirs_exist_ok=True)


def _say(what: str) -> None:
    print(f"- {what}", file=sys.stderr, flush=True)
