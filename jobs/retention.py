"""Deletes old jobs with their upstream calls, once a day, by a job. What the jobs led to stays.

Only rows that the running totals have counted are deleted (monitoring/totals.py): no sum of tokens or money goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import WsTicket
from accounts.people import SYSTEM
from jobs.kinds import JobKind, Result, Run
from jobs.models import AiCall, AiJob, Spent
from jobs.submission import Submission, submit

DELETE_BATCH = 200  # rows of one transaction, so that its locks are held briefly
CHECK_SECONDS = 600.0  # how often each worker checks whether it is time
EVERY = timedelta(days=1)
RETRY_AFTER = timedelta(hours=1)  # a pruning that failed


def delete_jobs() -> int:
    """Delete a batch of jobs that ended before JOBS_KEEP_DAYS; how many there were."""
    with transaction.atomic():
        # A job that is being retried at this moment is skipped.
        old = _old_jobs().select_for_update(skip_locked=True).order_by("created_at")
        ids = list(old.values_list("pk", flat=True)[:DELETE_BATCH])
        AiJob.objects.filter(pk__in=ids).delete()
    return len(ids)


def delete_tickets() -> int:
    """Delete a batch of WebSocket tickets that nobody can use any more; how many there were."""
    return _delete_batch(WsTicket.objects.filter(expires_at__lt=timezone.now()))


def delete_sessions() -> int:
    """Delete a batch of sessions that have ended; how many there were."""
    return _delete_batch(Session.objects.filter(expire_date__lt=timezone.now()))


def delete_spent() -> int:
    """Delete a batch of the sums of days whose budgets are over; how many there were."""
    return _delete_batch(_spent_before(timedelta(days=1)))


@dataclass(frozen=True)
class Part:
    """Rows deleted by age. `delete` deletes a batch and returns its size; `is_due` tells whether to submit a job."""

    name: str
    delete: Callable[[], int]
    is_due: Callable[[], bool]


JOBS = Part("jobs", delete_jobs, lambda: _old_jobs().exists())
TICKETS = Part("tickets", delete_tickets, lambda: WsTicket.objects.filter(expires_at__lt=_yesterday()).exists())
SESSIONS = Part("sessions", delete_sessions, lambda: Session.objects.filter(expire_date__lt=_yesterday()).exists())
SPENT = Part("daily sums", delete_spent, lambda: _spent_before(timedelta(days=7)).exists())

_parts: dict[str, Part] = {}


def register(*parts: Part) -> None:
    """Have rows deleted by age; called from AppConfig.ready(). One of the same name is replaced."""
    _parts.update({part.name: part for part in parts})


def parts() -> list[Part]:
    """Everything that is deleted by age."""
    return list(_parts.values())


async def prune(run: Run) -> Result:
    """Delete everything that is due, batch by batch; returns how many rows of each part."""
    deleted = dict.fromkeys(_parts, 0)
    for part in parts():
        while count := await run.db(part.delete):
            deleted[part.name] += count
    return deleted


PRUNING = JobKind("jobs.pruning", prune, deadline=1800, priority=2, calls_upstream=False)


def submit_if_due() -> None:
    """Submit a pruning when the last one is a day old and there is something to prune.

    The caller makes sure that no other process does the same at this moment.
    """
    if not _has_run() and any(part.is_due() for part in parts()):
        submit(Submission(SYSTEM), PRUNING, {})


def _has_run() -> bool:
    now = timezone.now()
    recent = AiJob.objects.filter(kind=PRUNING.name, created_at__gt=now - EVERY)
    ended_badly = Q(status__in=[AiJob.Status.FAILED, AiJob.Status.CANCELLED])
    return recent.exclude(ended_badly, created_at__lt=now - RETRY_AFTER).exists()


def _old_jobs() -> QuerySet[AiJob]:
    # At least a day old: somebody may still be reading it.
    before = timezone.now() - timedelta(days=max(1, settings.JOBS_KEEP_DAYS))
    uncounted = AiCall.objects.filter(job=OuterRef("pk"), is_counted=False)
    # created_at has an index, and no job ends before it begins.
    return AiJob.objects.filter(~Exists(uncounted), created_at__lt=before, finished_at__lt=before, uncounted=0).exclude(
        status__in=AiJob.ACTIVE
    )


def _spent_before(age: timedelta) -> QuerySet[Spent]:
    return Spent.objects.filter(day__lt=(timezone.now() - age).date())


def _yesterday() -> datetime:
    return timezone.now() - EVERY  # a ticket lives for a minute: not a reason every day


def _delete_batch(rows: QuerySet) -> int:
    ids = list(rows.values_list("pk", flat=True)[:DELETE_BATCH])
    return rows.filter(pk__in=ids).delete()[0] if ids else 0
