"""A kind of job whose work each test sets, run in this process."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts import people
from conversations.kinds import AnswerKind
from jobs import kinds
from jobs.backends import connections
from jobs.kinds import Result, Run
from jobs.models import AiJob
from jobs.submission import Submission, submit, submit_once
from tests.support import perform

KIND = "test.work"


class Engine:
    """Submits jobs of the test's own kind and runs them."""

    def __init__(self, owner: User) -> None:
        self.person = people.from_user(owner)
        self.saved: list[Result] = []

    def work(self, run: Callable[[Run], Any], deadline: float = 20.0) -> None:
        """Set what later runs do."""
        kinds.register(AnswerKind(KIND, run, lambda job, result: self.saved.append(result), deadline))

    def submit(self, subject: str = "", key: str | None = None, body: dict | None = None, **fields: Any) -> AiJob:
        submission = Submission(self.person, key, "/test", body or {})
        job = submit_once(submission, lambda: submit(submission, kinds.get(KIND), {}, subject=subject))
        AiJob.objects.filter(pk=job.pk).update(**fields) if fields else None
        return AiJob.objects.get(pk=job.pk)

    def run(self, job: AiJob) -> AiJob:
        """Run one attempt of the job to its end."""
        perform(job.pk)
        return AiJob.objects.get(pk=job.pk)


async def _nothing(run: Run) -> Result:
    return {"answer": "done", "citations": []}


@pytest.fixture
def engine(learner: User) -> Engine:
    engine = Engine(learner)
    engine.work(_nothing)
    return engine


@pytest.fixture
def hanging_redis(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """While its context lasts, synchronous code uses a Redis that accepts connections and never answers."""

    @contextmanager
    def hang() -> Iterator[None]:
        with socket.create_server(("127.0.0.1", 0)) as mute, monkeypatch.context() as patch:
            port = mute.getsockname()[1]
            hung = connections.Client(port=port, socket_timeout=0.3, retry=Retry(NoBackoff(), 0))
            patch.setattr(connections, "redis", lambda: hung)
            yield

    return hang
