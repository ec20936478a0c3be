"""The system that was replaced: a view that waits for OpenAI inside the request, in a web process of its own."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp

from devstack.servers import processes
from tests.lab.bench.load import QUESTIONS, at_rate
from tests.lab.bench.measuring import GETS_PER_SECOND, Bench
from tests.lab.people import COURSE
from tests.lab.report import Result, Row
from tests.lab.stats import percentile
from tests.lab.upstream import REALISTIC

ASKERS = 40
SECONDS = 8.0
DATABASE_CONNECTIONS = (12, 60)  # as the settings come, and enough for all askers


async def blocking(bench: Bench) -> Result:
    """40 people who ask again and again: answers per second, and what a lesson takes meanwhile."""
    await bench.control.begin(REALISTIC)
    result = Result("blocking")
    for connections in DATABASE_CONNECTIONS:
        await _theirs(bench, connections, result)

    async def ask(until: float) -> list[float]:
        answers = await bench.crowd.keep_asking(ASKERS, REALISTIC.total, until)
        return [answer.ended_at for answer in answers]

    person = bench.crowd.people[-1]
    per_second, lessons = await _measure(ask, lambda: person.get_ms(bench.rig.lesson_path))
    result.rows += _rows("ours", per_second, lessons)
    return result


async def _theirs(bench: Bench, connections: int, result: Result) -> None:
    """A request that waits for the upstream keeps its database connection, so their number counts too."""
    env = {"DJANGO_SETTINGS_MODULE": "tests.lab.bench.blocking_settings", "DB_POOL_SIZE": str(connections)}
    url, web = await asyncio.to_thread(partial(bench.rig.fleet.start_web, "blocking", **env))
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as http:
        theirs = _Blocking(http, bench)
        per_second, lessons = await _measure(theirs.keep_asking, theirs.lesson_ms)
    await asyncio.to_thread(processes.end, web.process)
    what = f"blocking view with {connections} database connections"
    result.rows += _rows(what, per_second, lessons)
    result.notes.append(
        f"{what}: {theirs.refused} of {theirs.asked} questions failed, "
        f"{theirs.lessons_refused} of {len(lessons)} lessons"
    )


def _rows(what: str, per_second: float, lessons: list[float]) -> list[Row]:
    return [
        Row(f"{what}, {ASKERS} askers, answers of {REALISTIC.total:.1f} s", per_second, "/s"),
        Row("GET of a lesson meanwhile, p50", percentile(lessons, 50), "ms"),
        Row("the same, p99", percentile(lessons, 99), "ms"),
    ]


class _Blocking:
    """People of the replaced system."""

    def __init__(self, http: aiohttp.ClientSession, bench: Bench) -> None:
        self.asked = self.refused = self.lessons_refused = 0
        self._http = http
        self._headers = [{"Authorization": f"Token {token}"} for token in bench.rig.tokens]
        self._lesson = bench.rig.lesson_path
        self._numbers = itertools.count()

    async def keep_asking(self, until: float) -> list[float]:
        """When each answer had come."""

        async def one(index: int) -> list[float]:
            await asyncio.sleep(REALISTIC.total * index / ASKERS)
            ended = []
            while time.time() < until:
                if await self._ask(index):
                    ended.append(time.time())
            return ended

        return [at for ended in await asyncio.gather(*(one(n) for n in range(ASKERS))) for at in ended]

    async def lesson_ms(self) -> float:
        """Milliseconds of a GET of a lesson, however it is answered."""
        began = time.perf_counter()
        async with self._http.get(self._lesson, headers=self._headers[-1]) as response:
            await response.read()
        self.lessons_refused += response.status != 200
        return (time.perf_counter() - began) * 1000

    async def _ask(self, index: int) -> bool:
        body = {"courseId": COURSE, "question": f"{QUESTIONS[index % len(QUESTIONS)]} ({next(self._numbers)})"}
        async with self._http.post("/api/blocking/query", json=body, headers=self._headers[index]) as response:
            await response.read()
        self.asked += 1
        self.refused += response.status != 200
        return response.status == 200


async def _measure(
    ask: Callable[[float], Awaitable[list[float]]], lesson: Callable[[], Awaitable[float]]
) -> tuple[float, list[float]]:
    """Answers per second, and milliseconds of lessons."""
    full_from = time.time() + REALISTIC.total
    asking = asyncio.ensure_future(ask(full_from + SECONDS))
    await asyncio.sleep(REALISTIC.total)

    async def get(_: int) -> float:
        return await lesson()

    lessons = await asyncio.gather(*await at_rate(GETS_PER_SECOND, SECONDS, get))
    ended = await asking
    return sum(full_from < at < full_from + SECONDS for at in ended) / SECONDS, lessons
