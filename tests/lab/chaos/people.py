"""People who ask and follow their answers to the end through all faults. One event loop, one socket per person."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.lab.chaos.watch import Watch
from tests.lab.people import COURSE, question

KIND = "assistant.answer"
SILENCE = 4.0  # seconds without an event after which the job's row is polled
GAP_SECONDS = 2.0
POST_TIMEOUT = aiohttp.ClientTimeout(total=12)
CONVERSATIONS = 2  # concurrent conversations of a person
DEPTH = 9  # questions in a conversation: enough for follow-ups and a summary
LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class Schedule:
    """This many questions, spread evenly over this many seconds."""

    questions: int
    seconds: float

    def due(self, number: int) -> float:
        """The second of the run in which the question with this number (from 0) is asked."""
        return self.seconds * number / self.questions


@dataclass
class Observations:
    """What people saw. `accepted`: the job of each question; `refused`: why a question has none."""

    accepted: dict[int, str] = field(default_factory=dict)
    watches: dict[str, Watch] = field(default_factory=lambda: defaultdict(Watch))
    refused: dict[int, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


class Person:
    """A learner who retries failed requests, reconnects, resumes, and polls the job's row."""

    def __init__(self, http: aiohttp.ClientSession, token: str, observations: Observations) -> None:
        self._http = http
        self._headers = {"Authorization": f"Token {token}"}
        self._observations = observations
        self._mine: dict[str, Watch] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def watch(self) -> None:
        """Hold a socket open until cancelled: reconnect when it breaks, and resume active jobs."""
        while True:
            try:
                async with self._http.post("/api/ws-ticket", headers=self._headers, timeout=POST_TIMEOUT) as response:
                    response.raise_for_status()
                    ticket = (await response.json())["ticket"]
                async with self._http.ws_connect(f"/ws/jobs/?ticket={ticket}") as self._socket:
                    self._observations.counts["sockets opened"] += 1
                    await self._read(self._socket)
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            self._socket = None
            await asyncio.sleep(random.uniform(0.2, 1.0))

    async def poll(self) -> None:
        """Poll the rows of jobs without recent events, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            for job_id, watch in self._active():
                if time.monotonic() - watch.last_news > SILENCE:
                    await self._poll(job_id, watch)

    async def ask(self, number: int, conversation: str | None) -> str | None:
        """Ask until the question is accepted, wait for the end of the answer; returns the conversation."""
        body = {"courseId": COURSE, "question": question(number)}
        accepted = await self._post(number, body | ({"conversationId": conversation} if conversation else {}))
        if accepted is None:
            return conversation
        job_id = accepted["jobId"]
        self._observations.accepted[number] = job_id
        await self._watch_of(job_id).ended.wait()
        return str(accepted["conversationId"])

    async def _post(self, number: int, body: dict[str, Any]) -> dict[str, Any] | None:
        headers = self._headers | {"Idempotency-Key": f"question-{number}"}
        while True:
            try:
                options: Any = {"json": body, "headers": headers, "timeout": POST_TIMEOUT}
                async with self._http.post("/api/assistant/query", **options) as response:
                    answer = await response.json()
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                self._observations.counts["POSTs cut off"] += 1
            else:
                if response.status == 202:
                    return dict(answer)
                self._observations.counts[f"POSTs answered {response.status}"] += 1
                if response.status < 500 and response.status != 429:
                    self._observations.refused[number] = f"{response.status}: {answer}"
                    return None
            await asyncio.sleep(random.uniform(0.2, LONGEST_PAUSE))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        for job_id, watch in self._active():
            await self._resume(job_id, watch)
        async for message in socket:
            event = json.loads(message.data)
            if event.get("kind") == KIND and not (watch := self._watch_of(event["jobId"])).take(event):
                await self._fill_gap(event["jobId"], watch)

    async def _fill_gap(self, job_id: str, watch: Watch) -> None:
        if time.monotonic() - watch.gap_asked > GAP_SECONDS:
            watch.gap_asked = time.monotonic()
            await self._resume(job_id, watch)

    async def _resume(self, job_id: str, watch: Watch) -> None:
        if self._socket:
            after = {"attempt": watch.attempt, "seq": watch.seq}
            await self._socket.send_json({"type": "resume", "jobId": job_id, "after": after})

    async def _poll(self, job_id: str, watch: Watch) -> None:
        try:
            url = f"/api/jobs/{job_id}"
            async with self._http.get(url, headers=self._headers, timeout=POST_TIMEOUT) as response:
                response.raise_for_status()
                watch.adopt(await response.json())
        except (aiohttp.ClientError, OSError, TimeoutError):
            self._observations.counts["polls without an answer"] += 1

    def _watch_of(self, job_id: str) -> Watch:
        # Events may arrive before the 202 that names the job, or without it if it was lost.
        return self._mine.setdefault(job_id, self._observations.watches[job_id])

    def _active(self) -> list[tuple[str, Watch]]:
        return [(job_id, watch) for job_id, watch in self._mine.items() if not watch.status]


async def ask_all(people: list[Person], schedule: Schedule) -> None:
    """Ask all questions, in concurrent conversations; returns when everybody has seen the end of every answer."""
    began, conversations = time.monotonic(), len(people) * CONVERSATIONS

    async def converse(first: int) -> None:
        conversation: str | None = None
        for turn, number in enumerate(range(first, schedule.questions, conversations)):
            await asyncio.sleep(max(0.0, began + schedule.due(number) - time.monotonic()))
            person = people[first % len(people)]
            conversation = await person.ask(number, conversation if turn % DEPTH else None)

    await asyncio.gather(*(converse(first) for first in range(conversations)))
