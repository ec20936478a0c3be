"""The rows that a run leaves in the database. Runs Django in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.lab.chaos.people import KIND
from tests.lab.people import number_in

if TYPE_CHECKING:
    from jobs.models import AiJob


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


@dataclass(frozen=True)
class Rows:
    """What the checks read from the database. `questions`: the numbers of all saved questions, with repeats."""

    jobs: list[Job]
    questions: list[int]
    active: list[str]  # ids of jobs of any kind that have not ended
    without_job: int  # messages without a job, and conversations without messages
    leases: int  # ended jobs that still hold a lease
    calls: int  # AiCall rows of answer calls with output tokens
    background_failed: list[str]


def wait_until_ended(seconds: float) -> None:
    """Return when no job of any kind is active, or after `seconds`."""
    from jobs.models import AiJob

    deadline = time.monotonic() + seconds
    while AiJob.objects.active().exists() and time.monotonic() < deadline:
        time.sleep(0.3)


def read() -> Rows:
    """Read the final state of the database."""
    from conversations.models import Conversation, Message
    from jobs.models import AiCall, AiJob

    questions = Message.objects.filter(role="user")
    others = AiJob.objects.exclude(kind=KIND)
    empty = Conversation.objects.filter(messages__isnull=True).count()
    return Rows(
        jobs=_jobs(),
        questions=[number_in(text) for text in questions.values_list("text", flat=True)],
        active=[str(pk) for pk in AiJob.objects.active().values_list("pk", flat=True)],
        without_job=Message.objects.filter(job__isnull=True).count() + empty,
        leases=AiJob.objects.exclude(status__in=AiJob.ACTIVE).filter(lease_until__isnull=False).count(),
        calls=AiCall.objects.filter(job__kind=KIND, purpose="answer", output_tokens__gt=0).count(),
        background_failed=[
            f"{job.pk} {job.error_code} {job.error_detail}" for job in others.filter(status=AiJob.Status.FAILED)
        ],
    )


def _jobs() -> list[Job]:
    from jobs.models import AiJob

    rows = AiJob.objects.filter(kind=KIND).prefetch_related("messages", "calls").order_by("created_at")
    return [_job(row) for row in rows]


def _job(row: AiJob) -> Job:
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
    )


def _is_lost(entry: dict[str, Any]) -> bool:
    return entry["outcome"] == "lost" or entry.get("code") == "poisonous"


def _span(entry: dict[str, Any]) -> tuple[float, float]:
    ended = datetime.fromisoformat(entry["at"]).timestamp()
    return ended - entry["ran"], ended
