"""The rows that a run leaves in the database. Runs Django in this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from tests.lab.chaos.bystanders import ASKED
from tests.lab.chaos.people import KIND
from tests.lab.people import number_in

if TYPE_CHECKING:
    from jobs.models import AiJob

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """An answer's job. `number` is that of its question, -1 without one; times are Unix times."""

    job_id: str
    number: int
    status: str
    error: str
    detail: str
    attempt: int
    failures: int
    crashes: int
    created_at: float
    finished_at: float
    answer: str
    saved: tuple[str, ...]  # texts of its saved assistant messages
    calls: int  # its successful answer calls with an AiCall row
    lost: tuple[tuple[float, float], ...] = ()  # start and end of attempts whose worker was lost
    is_first: bool = False  # the first question of its conversation: it needs no rewriting
    waited: float = 0.0  # seconds until its first attempt began


@dataclass(frozen=True)
class Other:
    """A job of another kind that a person asked for. Times are Unix times."""

    job_id: str
    kind: str
    status: str
    created_at: float
    finished_at: float


@dataclass(frozen=True)
class Rows:
    """What the checks read from the database. `questions`: the numbers of all saved questions, with repeats."""

    jobs: list[Job]
    questions: list[int]
    active: list[str]  # ids of jobs of any kind that have not ended
    without_job: int  # messages without a job, and conversations without messages
    leases: int  # ended jobs that still hold a lease
    calls: int  # AiCall rows of answer calls with output tokens
    background_failed: list[tuple[str, str]]  # what failed of other kinds, and its error code
    others: list[Other] = field(default_factory=list)
    failed_calls: set[str] = field(default_factory=set)  # what the upstream called the calls that failed


async def call(function: Callable[..., T], *args: Any) -> T:
    """Run this on a thread, with a database connection of its own: Postgres may have been restarted since the last."""
    from django.db import connection

    def run() -> T:
        try:
            return function(*args)
        finally:
            connection.close()

    return await asyncio.to_thread(run)


def wait_until_ended(seconds: float, strangers: Sequence[UUID]) -> None:
    """Return when no job of any kind but the strangers is active, or after `seconds`."""
    from jobs.models import AiJob

    deadline = time.monotonic() + seconds
    while AiJob.objects.active().exclude(pk__in=strangers).exists() and time.monotonic() < deadline:
        time.sleep(0.3)


def read(strangers: Sequence[UUID]) -> Rows:
    """Read the final state of the database, without the strangers."""
    from conversations.models import Conversation, Message
    from jobs.models import AiCall, AiJob

    questions = Message.objects.filter(role="user", job__kind=KIND)
    ours = AiJob.objects.exclude(pk__in=strangers)
    others = ours.exclude(kind=KIND)
    failed = AiCall.objects.filter(outcome=AiCall.Outcome.FAILED)
    empty = Conversation.objects.filter(messages__isnull=True).count()
    return Rows(
        jobs=_jobs(strangers),
        questions=[number_in(text) for text in questions.values_list("text", flat=True)],
        active=[str(pk) for pk in ours.active().values_list("pk", flat=True)],
        without_job=Message.objects.filter(job__isnull=True).count() + empty,
        leases=ours.exclude(status__in=AiJob.ACTIVE).filter(lease_until__isnull=False).count(),
        calls=AiCall.objects.filter(job__kind=KIND, purpose="answer", output_tokens__gt=0).count(),
        background_failed=[
            (f"{job.pk} {job.error_code} {job.error_detail}", job.error_code)
            for job in others.filter(status=AiJob.Status.FAILED)
        ],
        others=[_other(job) for job in others.filter(kind__in=ASKED.values())],
        failed_calls=set(failed.values_list("upstream_id", flat=True)),
    )


def _jobs(strangers: Sequence[UUID]) -> list[Job]:
    from jobs.models import AiJob

    rows = AiJob.objects.filter(kind=KIND).exclude(pk__in=strangers)
    seen, jobs = set[str](), list[Job]()
    for row in rows.prefetch_related("messages", "calls").order_by("created_at"):
        conversation = str(row.payload["conversationId"])
        jobs.append(_job(row, is_first=conversation not in seen))
        seen.add(conversation)
    return jobs


def _other(row: AiJob) -> Other:
    finished = row.finished_at.timestamp() if row.finished_at else 0.0
    return Other(str(row.pk), row.kind, row.status, row.created_at.timestamp(), finished)


def _job(row: AiJob, *, is_first: bool) -> Job:
    messages = list(row.messages.all())
    asked = [message.text for message in messages if message.role == "user"]
    return Job(
        job_id=str(row.pk),
        number=number_in(asked[0]) if asked else -1,
        status=row.status,
        error=row.error_code,
        detail=row.error_detail,
        attempt=row.attempt,
        failures=row.failures,
        crashes=row.crashes,
        created_at=row.created_at.timestamp(),
        finished_at=row.finished_at.timestamp() if row.finished_at else 0.0,
        answer=(row.result or {}).get("answer", ""),
        saved=tuple(message.text for message in messages if message.role == "assistant"),
        calls=sum(call.purpose == "answer" and call.outcome == "ok" for call in row.calls.all()),
        lost=tuple(_span(entry) for entry in row.history if _is_lost(entry)),
        is_first=is_first,
        waited=next((entry["waited"] for entry in row.history if entry["attempt"] == 1), 0.0),
    )


def _is_lost(entry: dict[str, Any]) -> bool:
    return entry["outcome"] == "lost" or entry.get("code") == "poisonous"


def _span(entry: dict[str, Any]) -> tuple[float, float]:
    ended = datetime.fromisoformat(entry["at"]).timestamp()
    return ended - entry["ran"], ended
