"""Asks questions while faults are injected, waits for the last answer, and prints which guarantees held."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import aiohttp

from tests.lab import report, rig
from tests.lab.chaos import checks, database, health, plan, slow, strangers
from tests.lab.chaos.breakers import Breakers
from tests.lab.chaos.bystanders import Bystanders
from tests.lab.chaos.checks import Evidence
from tests.lab.chaos.injector import Injector
from tests.lab.chaos.people import Observations, Person, Schedule, ask_all
from tests.lab.chaos.plan import UpstreamChange
from tests.lab.chaos.slow import Memory
from tests.lab.chaos.upstream import Upstream
from tests.lab.report import say
from tests.lab.rig import Rig

QUESTIONS_PER_SECOND = 4.0
SETTLE_SECONDS = 150.0  # for jobs that are still active when the faults stop
WORKERS = 2
MAX_FAILURES = 60
# Recovery takes seconds instead of minutes, so that a short run holds many kills; limits are too high to be reached.
ENVIRONMENT = rig.RATE | {
    "JOBS_LEASE_SECONDS": str(plan.LEASE_SECONDS),
    "JOBS_SWEEP_SECONDS": "0.3",
    "JOBS_REQUEUE_SECONDS": "3",
    "JOBS_GRACE_SECONDS": "3",
    "JOBS_PER_PERSON": "1000",
    "JOBS_MAX_FAILURES": str(MAX_FAILURES),
    "LANDING_QUESTIONS_PER_NETWORK": "100000",
    "BUDGET_LANDING_TOKENS": "0",
    "LLM_FIRST_TOKEN_TIMEOUT": "4",
    "LLM_TOKEN_GAP_TIMEOUT": "2",
}
# An answer takes about two seconds, so that many are interrupted midway. It is long, and so are its replays.
ANSWER_TOKENS = 1000
LATENCIES = ("--first-token=0.3", "--token-interval=0.002", "--rewrite-latency=0.2", "--embedding-latency=0.05")


def main(arguments: Sequence[str]) -> int:
    """Run it and print the result; 1 if a guarantee was broken."""
    options = _options(arguments)
    machine = report.machine()
    say(f"seed {options.seed}; starting the platform")
    with rig.running("chaos", ENVIRONMENT, options.people, WORKERS, LATENCIES) as running:
        planted = strangers.plant_rows()
        evidence = asyncio.run(_run(running, Schedule(options.questions, options.seconds), options.seed, planted))
        guarantees = checks.guarantees(evidence)
        all_held = not any(guarantee.offenders for guarantee in guarantees)
        if not all_held:
            say(f"the logs are kept in {_copy_logs(running)}")
    print(checks.render(machine, evidence, guarantees))
    return 0 if all_held else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev chaos", description="Inject faults and check every guarantee.")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument(
        "--seconds", type=float, help="of questions and faults; by default 4 questions a second, and each fault once"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a plan")
    options = parser.parse_args(arguments)
    shortest = plan.round_seconds(options.seed)
    options.seconds = options.seconds or max(options.questions / QUESTIONS_PER_SECOND, shortest)
    return options


async def _run(running: Rig, schedule: Schedule, seed: int, planted: list[UUID]) -> Evidence:
    observations, url = Observations(), running.parts.env["REDIS_URL"]
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(running.url, connector=connector) as http,
        aiohttp.ClientSession(running.url, connector=slow.connector()) as slow_http,
        _breakers(url) as breakers,
    ):
        upstream = Upstream(http, running.parts.simulator_url)
        bystanders = Bystanders(http, running.tokens, observations)
        injector = Injector(http, running, upstream, breakers, bystanders, _models())
        people = [Person(http, token, observations) for token in running.tokens]
        slow_readers, is_slow = slow.readers(slow_http, running.tokens, observations.accepted)
        memory = Memory(lambda: running.web.pid)
        background = [injector.keep_running(), injector.keep_recording(), memory.keep_measuring()]
        background += [task for person in people for task in (person.watch(), person.poll())]
        background += [reader.hold_socket() for reader in slow_readers for _ in range(slow.SOCKETS)]
        background += [reader.hold_streams() for reader in slow_readers]
        async with _in_background(background):
            await upstream.change(answer_tokens=ANSWER_TOKENS)
            await injector.set_clocks(plan.clocks(seed, len(running.workers)))
            asking = asyncio.create_task(ask_all(people, schedule))
            say(f"{schedule.questions} questions from {len(people)} people in {schedule.seconds:.0f} s")
            await asyncio.gather(
                injector.disrupt(plan.disruptions(seed, schedule.seconds)),
                injector.change_upstream(plan.upstream_changes(seed, schedule.seconds)),
            )
            await upstream.set(UpstreamChange(0.0))
            say("the faults have stopped; waiting for the last answers")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asking, SETTLE_SECONDS)
            await database.call(database.wait_until_ended, SETTLE_SECONDS, planted)
            rows = await database.call(database.read, planted)
            ended = sum(job.finished_at > 0 for job in rows.jobs)
            state = await health.look(http, ended, lambda: strangers.were_reported(running.parts))
        return Evidence(
            schedule.questions,
            MAX_FAILURES,
            observations,
            rows,
            await upstream.billed(),
            injector.injected,
            injector.ended,
            health=state,
            damaged=await breakers.damaged() + await strangers.remove_keys(url),
            touched=await database.call(strangers.remove_rows, planted),
            unreadable=upstream.unreadable,
            spoiled=Counter(upstream.spoiled.values()),
            growth=memory.growth,
            slow={job_id for number, job_id in observations.accepted.items() if is_slow(number)},
        )


def _models() -> dict[str, str]:
    from django.conf import settings

    models = (settings.LLM_FAST_MODEL, settings.LLM_CHAT_MODEL, settings.LLM_EMBEDDING_MODEL)
    return dict(zip(plan.ROLES, models, strict=True))


@asynccontextmanager
async def _breakers(url: str) -> AsyncIterator[Breakers]:
    breakers = Breakers(url)
    try:
        yield breakers
    finally:
        await breakers.close()


@asynccontextmanager
async def _in_background(coroutines: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run these for the duration of the block; raise the exception of one that failed at its end."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


def _copy_logs(running: Rig) -> str:
    """Copy the logs out of the folder that is about to be removed."""
    return shutil.copytree(running.logs, tempfile.mkdtemp(prefix="course-ai-chaos-logs-"), dirs_exist_ok=True)
