"""The load: people with a socket each who ask, and calls at a steady rate. One event loop, kept cheap."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import aiohttp

from tests.lab import upstream
from tests.lab.bench.watched import Watched
from tests.lab.people import COURSE

T = TypeVar("T")

ANSWER_TIMEOUT = 60.0
QUESTIONS = (
    "What does COALESCE return when all of its arguments are NULL?",
    "When should I use HAVING instead of WHERE?",
    "How does a LEFT JOIN differ from an INNER JOIN?",
    "What is a window function good for?",
    "Why is my index not used by the planner?",
    "What does READ COMMITTED guarantee?",
)
_FINAL = {"job.completed", "job.failed", "job.cancelled"}


class Unexpected(Exception):
    """The platform did not do what it is measured at: the run is worth nothing."""


@dataclass(frozen=True)
class Answer:
    """One question from the POST to the end of its answer. `missed`: the end came only when it was asked for."""

    number: int
    job_id: str
    conversation_id: str
    posted_at: float
    accept_ms: float
    first_delta_at: float
    ended_at: float
    missed: bool
    attempts: dict[int, float]


class Person:
    """A learner who asks over HTTP and watches over a WebSocket."""

    _socket: aiohttp.ClientWebSocketResponse

    def __init__(self, http: aiohttp.ClientSession, token: str, numbers: itertools.count[int]) -> None:
        self._http = http
        self._headers = {"Authorization": f"Token {token}"}
        self._numbers = numbers
        self._jobs: dict[str, Watched] = {}
        self.lags: list[float] = []  # seconds from each event to its receipt

    @property
    def watched(self) -> list[Watched]:
        """The questions under way."""
        return list(self._jobs.values())

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Person]:
        """Hold a WebSocket while the block lasts."""
        async with self._http.post("/api/ws-ticket", headers=self._headers) as response:
            answer = await response.json()
        if response.status != 200:
            raise Unexpected(f"a ticket was answered with {response.status}: {answer}")
        async with self._http.ws_connect(f"/ws/jobs/?ticket={answer['ticket']}") as socket:
            self._socket = socket
            reader = asyncio.create_task(self._read(socket))
            yield self
            reader.cancel()

    async def ask(self, patience: float = ANSWER_TIMEOUT, conversation_id: str | None = None) -> Answer:
        """Ask a question, in a new conversation if none is named, and watch it to its end.

        Unexpected unless it is answered in time.
        """
        number = next(self._numbers)
        question = upstream.numbered(QUESTIONS[number % len(QUESTIONS)], number)
        body = {"courseId": COURSE, "question": question}
        if conversation_id:
            body["conversationId"] = conversation_id
        posted_at, began = time.time(), time.perf_counter()
        async with self._http.post("/api/assistant/query", json=body, headers=self._headers) as response:
            accepted = await response.json()
            accept_ms = (time.perf_counter() - began) * 1000
        if response.status != 202:
            raise Unexpected(f"a question was answered with {response.status}: {accepted}")
        job_id = accepted["jobId"]
        watched = self._watched(job_id)
        await self._until_ended(job_id, watched, time.time() + patience)
        del self._jobs[job_id]
        ended_at = watched.ended.result()
        return Answer(
            number,
            job_id,
            accepted["conversationId"],
            posted_at,
            accept_ms,
            watched.first_delta_at,
            ended_at,
            watched.was_missed,
            watched.attempts,
        )

    async def get_ms(self, path: str) -> float:
        """Milliseconds that a GET took, body included."""
        began = time.perf_counter()
        async with self._http.get(path, headers=self._headers) as response:
            await response.read()
        if response.status != 200:
            raise Unexpected(f"GET {path} was answered with {response.status}")
        return (time.perf_counter() - began) * 1000

    def _watched(self, job_id: str) -> Watched:
        # Events may come before the 202 that names the job.
        if job_id not in self._jobs:
            self._jobs[job_id] = Watched()
        return self._jobs[job_id]

    async def _until_ended(self, job_id: str, watched: Watched, until: float) -> None:
        while not watched.ended.done():
            if time.time() > until:
                raise Unexpected(f"job {job_id} has not ended in time")
            if (silence := watched.ask_at - time.time()) > 0:
                await asyncio.wait({watched.ended}, timeout=silence)
            else:
                await self._resume(job_id, watched)

    async def _resume(self, job_id: str, watched: Watched) -> None:
        watched.asked, watched.asked_at = watched.asked + 1, time.time()
        await self._socket.send_json({"type": "resume", "jobId": job_id, "after": watched.place})

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            event = json.loads(message.data)
            if event.get("kind") == "assistant.answer":  # the other jobs are those that suggest what to ask next
                self._note(event, time.time())
        for job_id in self._jobs:
            self._fail(job_id, "the server closed the socket")

    def _note(self, event: dict[str, Any], now: float) -> None:
        watched = self._watched(event["jobId"])
        watched.was_missed = watched.asked > 0 and event["type"] in _FINAL
        watched.place = {"attempt": event["attempt"], "seq": event["seq"]}
        watched.heard_at, watched.asked = now, 0
        self.lags.append(now - datetime.fromisoformat(event["at"]).timestamp())
        if event["type"] == "job.started":
            watched.attempts[event["attempt"]] = now
        elif event["type"] == "job.retrying":
            watched.retry_at = datetime.fromisoformat(event["retryAt"]).timestamp()
        elif event["type"] == "job.delta":
            watched.first_delta_at = watched.first_delta_at or now
        elif event["type"] == "job.completed" and not watched.ended.done():
            watched.ended.set_result(now)
        elif event["type"] in _FINAL:
            self._fail(event["jobId"], f"it ended with {event}")

    def _fail(self, job_id: str, why: str) -> None:
        ended = self._jobs[job_id].ended
        if not ended.done():
            ended.set_exception(Unexpected(f"job {job_id}: {why}"))


class Crowd:
    """Many people at once. `in_flight` is how many of their questions are under way."""

    def __init__(self, people: list[Person]) -> None:
        self.people = people
        self.in_flight = 0

    async def ask(self, person: Person) -> Answer:
        """One of them asks."""
        self.in_flight += 1
        try:
            return await person.ask()
        finally:
            self.in_flight -= 1

    async def keep_asking(self, count: int, spread: float, until: float) -> list[Answer]:
        """So many people ask again and again, the first times spread over `spread` seconds, until that moment."""

        async def one(index: int, person: Person) -> list[Answer]:
            await asyncio.sleep(spread * index / count)
            answers = []
            while time.time() < until:
                answers.append(await self.ask(person))
            return answers

        rounds = await asyncio.gather(*(one(*each) for each in enumerate(self.people[:count])))
        return [answer for answers in rounds for answer in answers]


@asynccontextmanager
async def crowd(http: aiohttp.ClientSession, tokens: list[str]) -> AsyncIterator[Crowd]:
    """People with these tokens, all of them watching."""
    numbers = itertools.count(1)
    async with AsyncExitStack() as sockets:
        people = [Person(http, token, numbers) for token in tokens]
        for person in people:
            await sockets.enter_async_context(person.watching())
        yield Crowd(people)


async def at_rate(rate: float, seconds: float, call: Callable[[int], Coroutine[Any, Any, T]]) -> list[asyncio.Task[T]]:
    """Start `call(0)`, `call(1)`, ... at this rate, however long they take; returns them, some still under way."""
    loop = asyncio.get_running_loop()
    start, calls = loop.time(), list[asyncio.Task[T]]()
    for index in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, start + index / rate - loop.time()))
        calls.append(asyncio.create_task(call(index)))
    return calls
