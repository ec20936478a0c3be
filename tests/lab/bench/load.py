"""The load: people who ask over HTTP and watch over a WebSocket, and calls at a steady rate. One event loop."""

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

from tests.lab import people
from tests.lab.bench.watched import Watched

T = TypeVar("T")

ANSWER_TIMEOUT = 60.0
_FINAL = {"job.completed", "job.failed", "job.cancelled"}


class Unexpected(Exception):
    """The platform did not do what a scenario measures, so the run has no result."""


@dataclass(frozen=True)
class Answer:
    """One question from POST to the end of its answer. `missed`: the end came only after a resume request."""

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
        self.lags: list[float] = []  # seconds from each event's creation to its receipt

    @property
    def watched(self) -> list[Watched]:
        """The questions that are not answered yet."""
        return list(self._jobs.values())

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Person]:
        """Hold a WebSocket open for the duration of the block."""
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
        """Ask a question, in a new conversation if none is given, and watch the answer to its end.

        Raises Unexpected unless it is answered within `patience` seconds.
        """
        number = next(self._numbers)
        body = {"courseId": people.COURSE, "question": people.question(number)}
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
        """Milliseconds of a GET, including reading the body."""
        began = time.perf_counter()
        async with self._http.get(path, headers=self._headers) as response:
            await response.read()
        if response.status != 200:
            raise Unexpected(f"GET {path} was answered with {response.status}")
        return (time.perf_counter() - began) * 1000

    def _watched(self, job_id: str) -> Watched:
        # Events may arrive before the 202 that names the job.
        if job_id not in self._jobs:
            self._jobs[job_id] = Watched()
        return self._jobs[job_id]

    async def _until_ended(self, job_id: str, watched: Watched, until: float) -> None:
        while not watched.ended.done():
            if time.time() > until:
                raise Unexpected(f"job {job_id} did not end before its deadline")
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
            if event.get("kind") == "assistant.answer":  # other kinds suggest follow-up questions
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
    """Many people. `in_flight` is the number of their questions that are not answered yet."""

    def __init__(self, people: list[Person]) -> None:
        self.people = people
        self.in_flight = 0

    async def ask(self, person: Person) -> Answer:
        """Let this person ask a question."""
        self.in_flight += 1
        try:
            return await person.ask()
        finally:
            self.in_flight -= 1

    async def keep_asking(self, count: int, spread: float, until: float) -> list[Answer]:
        """Let `count` people ask one question after the other until the time `until`.

        Their first questions are spread over `spread` seconds.
        """

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
    """People with these tokens, each with an open WebSocket."""
    numbers = itertools.count(1)
    async with AsyncExitStack() as sockets:
        everybody = [Person(http, token, numbers) for token in tokens]
        for person in everybody:
            await sockets.enter_async_context(person.watching())
        yield Crowd(everybody)


async def at_rate(rate: float, seconds: float, call: Callable[[int], Coroutine[Any, Any, T]]) -> list[asyncio.Task[T]]:
    """Start `call(0)`, `call(1)`, ... `rate` times a second without waiting for their ends; returns their tasks."""
    loop = asyncio.get_running_loop()
    start, calls = loop.time(), list[asyncio.Task[T]]()
    for index in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, start + index / rate - loop.time()))
        calls.append(asyncio.create_task(call(index)))
    return calls
