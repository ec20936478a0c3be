"""Shared test tools: the running platform, people, clients, and waiting for conditions."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import websockets
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client as DjangoClient

from accounts.models import issue_ticket, issue_token
from accounts.people import SYSTEM
from courses.models import Course
from devstack.servers import processes
from devstack.servers.stack import Stack
from jobs import kinds, submission
from jobs.backends import connections
from jobs.backends.db import Database
from jobs.lifecycle import transitions
from jobs.models import AiJob
from jobs.tasks import run_job

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")
Json = dict[str, Any]
FINAL = {"job.completed", "job.failed", "job.cancelled"}

database = Database(threads=8)  # database access of tests on an event loop


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@functools.cache
def password_hash() -> str:
    """The hash of the password "pass", cached because hashing is slow."""
    return make_password("pass")


def wait_for(condition: Callable[[], T], timeout: float = 15.0, what: str = "") -> T:
    """Poll the condition and return its first true value; fails the test after the timeout."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s in vain {what}"
        time.sleep(0.02)
    return value


async def eventually(condition: Callable[[], T], timeout: float = 15.0) -> T:
    """`wait_for` for coroutines: does not block the event loop."""
    return await database.call(wait_for, condition, timeout)


def run_pending(kind: str, payload: Json) -> AiJob:
    """Submit a job without an owner and run it in this process."""
    job = submission.submit_once(
        submission.Submission(SYSTEM),
        lambda: submission.submit(submission.Submission(SYSTEM), kinds.get(kind), payload),
    )
    perform(job.pk)
    job.refresh_from_db()
    return job


def perform(job_id: object) -> None:
    """Run a job in this process, without a worker."""
    asyncio.run(run_job(str(job_id)))


def take_back_lost() -> list[AiJob]:
    """Take jobs back from lost workers, as the sweeper does."""
    with transaction.atomic():
        return [transitions.take_back(run, is_poisonous) for run, is_poisonous in transitions.lost()]


def events_of(job_id: object) -> list[Json]:
    """The job's events in Redis."""
    entries: Any = connections.redis().xrange(f"aijob:{job_id}:events")
    return [json.loads(fields[b"frame"]) for _, fields in entries]


class Simulator:
    """The control API of the OpenAI simulator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.Client(base_url=url, timeout=10)

    def reset(self) -> None:
        self._http.post("/control/reset").raise_for_status()

    def set(self, **settings: Any) -> None:
        """Change latencies, limits, `answer_tokens` or `down`."""
        self._http.patch("/control", json={"settings": settings}).raise_for_status()

    def fault(self, kind: str, endpoint: str = "chat", **rule: Any) -> None:
        """Make the next `times` calls fail."""
        self._http.post("/control/faults", json={"endpoint": endpoint, "kind": kind, **rule}).raise_for_status()

    def clear_faults(self) -> None:
        self._http.delete("/control/faults").raise_for_status()

    @property
    def counters(self) -> Json:
        return self._http.get("/control").raise_for_status().json()["counters"]

    def requests(self, last: int = 50) -> list[Json]:
        """The last requests, with body, purpose, status and times."""
        answer = self._http.get("/control/requests", params={"last": last}).raise_for_status().json()
        return answer["requests"] if isinstance(answer, dict) else answer


class Platform:
    """Daphne and rqworker processes on the test stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.port = processes.free_port()
        self.url = f"http://localhost:{self.port}"
        self._daphne: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Platform:
        self.start_web()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._daphne:
            processes.end(self._daphne)

    def start_web(self) -> None:
        """Start Daphne and wait until it answers."""
        self._daphne = self.process("daphne", "--port", str(self.port))
        wait_for(_while_running(self._daphne, lambda: _answers(f"{self.url}/healthz")), timeout=60, what="for Daphne")

    def kill_web(self) -> None:
        assert self._daphne
        self._daphne.kill()
        self._daphne.wait()

    @contextlib.contextmanager
    def worker(self, *queues: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run an rqworker process for the duration of the block."""
        name = unique("worker")
        process = self.process("rqworker", "--name", name, *queues, **env)
        try:
            wait_for(_while_running(process, lambda: is_registered(name)), timeout=60, what="for the worker")
            yield process
        finally:
            processes.end(process)

    def process(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a management command as a process of this platform."""
        return manage(*arguments, **env)

    def client(self, user: User | None = None) -> httpx2.Client:
        """An API client, authenticated by token."""
        headers = {"Authorization": f"Token {token_of(user)}"} if user else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=20)

    def browser_session(self, user: User) -> httpx2.Client:
        """A client with the cookies that a browser has after signing in."""
        signed_in = DjangoClient()
        signed_in.force_login(user)
        cookies = {"sessionid": signed_in.cookies["sessionid"].value, "csrftoken": "c" * 32}
        headers = {"Referer": self.url, "Origin": self.url, "X-CSRFToken": cookies["csrftoken"]}
        return httpx2.Client(base_url=self.url, timeout=20, headers=headers, cookies=cookies)

    @contextlib.asynccontextmanager
    async def socket(self, user: User, max_queue: int | None = None) -> AsyncIterator[Socket]:
        """A WebSocket of this person, by ticket. With `max_queue` frames unread it stops reading from the network."""
        ticket = await database.call(issue_ticket, user)
        async with self.handshake(f"?ticket={ticket}", max_queue) as connection:
            yield Socket(connection)

    def handshake(self, query: str = "", max_queue: int | None = None, **headers: str) -> websockets.connect:
        """A WebSocket handshake with these headers. InvalidStatus when it is refused."""
        # With a limit, a test that stops reading could not close: the close frame would wait behind unread ones.
        url = f"ws://localhost:{self.port}/ws/jobs/{query}"
        return websockets.connect(url, additional_headers=headers, max_queue=max_queue, close_timeout=1)

    @property
    def web_pid(self) -> int:
        """The process id of Daphne."""
        assert self._daphne
        return self._daphne.pid


def token_of(user: User) -> str:
    """An API token of this user."""
    return issue_token(user)[0]


def viewers_of(platform: Platform, transport: str) -> int:
    """How many sockets ("socket") or event streams ("stream") its Daphne has open."""
    text = httpx2.get(f"{platform.url}/metrics").raise_for_status().text
    [line] = [line for line in text.splitlines() if line.startswith(f'course_ai_viewers{{transport="{transport}"}}')]
    return round(float(line.split()[-1]))


class Socket:
    """One side of the WebSocket contract."""

    def __init__(self, connection: websockets.ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Any) -> None:
        await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def next(self, timeout: float = 10.0) -> Json:
        return json.loads(await asyncio.wait_for(self.connection.recv(), timeout))

    async def until(self, *types: str, timeout: float = 15.0) -> list[Json]:
        """Events up to and including the first of these types; by default up to the end of a job."""
        events: list[Json] = []
        async with asyncio.timeout(timeout):
            while not events or events[-1]["type"] not in (types or FINAL):
                events.append(await self.next(timeout))
        return events

    async def silent(self, seconds: float) -> bool:
        """Whether no frame arrives for this long."""
        try:
            await self.next(seconds)
        except TimeoutError:
            return True
        return False


def ask(client: httpx2.Client, course: Course, question: str = "What does COALESCE return?", **more: Any) -> Json:
    """Ask the course assistant; returns the 202 body."""
    response = client.post("/api/assistant/query", json={"courseId": course.slug, "question": question, **more})
    assert response.status_code == 202, response.text
    return response.json()


def error_of(response: httpx2.Response, status: int) -> Json:
    """The error of a response; asserts its status and shape."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}, body
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "details", "retryAfter"}, body
    assert isinstance(body["error"]["message"], str) and body["error"]["message"], body
    assert "Traceback" not in response.text
    return body["error"]


def manage(*arguments: str, **env: str) -> subprocess.Popen[bytes]:
    """Start a management command as a process; its output goes to the log folder of the test run."""
    log = Path(os.environ["DEV_DATA"]) / "logs" / f"{arguments[0]}.log"
    env = {name: value for name, value in (os.environ | env).items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    with log.open("ab") as output:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)


def wait_for_end(job: dict[str, Any]) -> None:
    """Wait until the job's final event is in Redis, shortly after the row has its final status."""
    wait_for(lambda: any(event["type"] in FINAL for event in events_of(job["jobId"])))


def is_registered(worker_name: str) -> bool:
    """Whether a worker of this name is listening."""
    from rq import Worker

    return any(worker.name == worker_name for worker in Worker.all(connection=connections.redis()))


def text_of(events: list[Json]) -> str:
    """The text that these events show: a new attempt replaces the text of the old one."""
    text, attempt = "", 0
    for event in events:
        if event["attempt"] > attempt:
            text, attempt = "", event["attempt"]
        text += event.get("text", "")
    return text


def assert_no_holes(events: list[Json]) -> None:
    """Assert that seq counts from 1 in each attempt, without gaps or repeats."""
    places: dict[str, tuple[int, int]] = {}
    for event in events:
        attempt, seq = event["attempt"], event["seq"]
        place = places.get(event["jobId"], (0, 0))
        assert (attempt == place[0] and seq == place[1] + 1) or (attempt > place[0] and seq == 1), (place, event)
        places[event["jobId"]] = (attempt, seq)


def _while_running(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> Callable[[], bool]:
    def check() -> bool:
        assert process.poll() is None, f"{process.args} has ended, see {os.environ['DEV_DATA']}/logs"
        return condition()

    return check


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.HTTPError:
        return False
