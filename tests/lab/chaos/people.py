"""People who ask and watch over their answers, whatever happens to the platform: one event loop, a socket each."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.lab.bench.load import QUESTIONS
from tests.lab.chaos.watch import Watch
from tests.lab.people import COURSE
from tests.lab.upstream import numbered

KIND = "assistant.answer"
SILENCE = 4.0  # seconds after which the row is asked
GAP_SECONDS = 2.0
POST_TIMEOUT = aiohttp.ClientTimeout(total=12)
LINES = 2  # conversations that a person has going at once
DEPTH = 9  # questions in one conversation: enough for follow-ups, and for a summary
LONGEST_PAUSE = 2.0


@dataclass(frozen=True)
class Schedule:
    """So many questions, asked over so many seconds."""

    questions: int
    seconds: float

    def due(self, number: int) -> float:
        """When the question of this number (from 0) is asked, in seconds of the run."""
        return self.seconds * number / self.questions


@dataclass
class Diary:
    """What people went through. `accepted`: the job of each question; `refused`: why there is none."""

    accepted: dict[int, str] = field(default_factory=dict)
    watches: dict[str, Watch] = field(default_factory=lambda: defaultdict(Watch))
    refused: dict[int, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


class Person:
    """A learner who does not give up: repeats what failed, reconnects, resumes, and asks for the row."""

    def __init__(self, http: aiohttp.ClientSession, token: str, diary: Diary) -> None:
        self._http = http
        self._headers = {"Authorization": f"Token {token}"}
        self._diary = diary
        self._mine: dict[str, Watch] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def watch(self) -> None:
        """Hold a socket, connect again when it breaks, and resume what has not ended; until cancelled."""
        while True:
            try:
                async with self._http.post("/api/ws-ticket", headers=self._headers, timeout=POST_TIMEOUT) as response:
                    response.raise_for_status()
                    ticket = (await response.json())["ticket"]
                async with self._http.ws_connect(f"/ws/jobs/?ticket={ticket}") as self._socket:
                    self._diary.counts["sockets opened"] += 1
                    await self._read(self._socket)
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            self._socket = None
            await asyncio.sleep(random.uniform(0.2, 1.0))

    async def poll(self) -> None:
        """Ask for the row of whatever has been silent for a while, until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            for job_id, watch in self._active():
                if time.monotonic() - watch.last_news > SILENCE:
                    await self._poll(job_id, watch)

    async def ask(self, number: int, conversation: str | None) -> str | None:
        """Ask until the question is accepted and see the answer to its end; returns the conversation."""
        body = {"courseId": COURSE, "question": numbered(QUESTIONS[number % len(QUESTIONS)], number)}
        accepted = await self._post(number, body | ({"conversationId": conversation} if conversation else {}))
        if accepted is None:
            return conversation
        job_id = accepted["jobId"]
        self._diary.accepted[number] = job_id
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
                self._diary.counts["POSTs cut off"] += 1
            else:
                if response.status == 202:
                    return dict(answer)
                self._diary.counts[f"POSTs answered {response.status}"] += 1
                if response.status < 500 and response.status != 429:
                    self._diary.refused[number] = f"{response.status}: {answer}"
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
            self._diary.counts["polls without an answer"] += 1

    def _watch_of(self, job_id: str) -> Watch:
        # Events may come before the 202 that names the job, or without it when that was lost.
        return self._mine.setdefault(job_id, self._diary.watches[job_id])

    def _active(self) -> list[tuple[str, Watch]]:
        return [(job_id, watch) for job_id, watch in self._mine.items() if not watch.status]


async def ask_all(people: list[Person], schedule: Schedule) -> None:
    """Ask all questions, in lines that go on side by side; returns when the last answer has been seen to its end."""
    began, lines = time.monotonic(), len(people) * LINES

    async def line(first: int) -> None:
        conversation: str | None = None
        for turn, number in enumerate(range(first, schedule.questions, lines)):
            await asyncio.sleep(max(0.0, began + schedule.due(number) - time.monotonic()))
            person = people[first % len(people)]
            conversation = await person.ask(number, conversation if turn % DEPTH else None)

    await asyncio.gather(*(line(first) for first in range(lines)))
