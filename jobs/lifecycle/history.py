"""What became of each attempt at a job: a short list on its row, for staff and for the running totals.

Only jobs/lifecycle/transitions.py adds to it, in the UPDATE that makes the move.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, TypedDict

from django.db.models import F, JSONField
from django.db.models.expressions import RawSQL
from django.utils import timezone

from jobs.models import AiJob

LENGTH = 20  # the newest entries are kept; few jobs have so many
DETAIL_LENGTH = 300
# The history with one entry more and, when there are too many, without the oldest. Its parameter is a JSON array.
EXTENDED = f"jsonb_path_query_array(history, '$[last - {LENGTH - 2} to last]') || {{entry}}::jsonb"


class Entry(TypedDict, total=False):
    """One move. `waited` and `ran` are seconds of this attempt; a move without a run has no `ran`."""

    attempt: int
    at: str
    outcome: str  # completed, failed, cancelled, deferred, released, lost or retried
    code: str
    detail: str
    waited: float
    ran: float


def of_run(run: AiJob, outcome: str, code: str = "", detail: str = "") -> Entry:
    """How this run ended. `run` is the row as it was when the run had been claimed."""
    entry = _entry(run, outcome)
    entry["waited"] = _seconds(_due(run), run.started_at)
    entry["ran"] = _seconds(run.started_at, timezone.now())
    if code:
        entry["code"] = code
    if detail:
        entry["detail"] = detail[:DETAIL_LENGTH]
    return entry


def of_cancelled(job: AiJob) -> Entry:
    """The end of a job that was cancelled while it waited."""
    entry = _entry(job, "cancelled")
    entry["waited"] = _seconds(_due(job), timezone.now())
    return entry


def of_retried(job: AiJob) -> Entry:
    """The new beginning of a job that had ended badly."""
    return _entry(job, "retried")


def added(entry: Entry) -> dict[str, Any]:
    """The part of an UPDATE that adds the entry, and drops the oldest when there are too many."""
    extended = RawSQL(EXTENDED.format(entry="%s"), [as_parameter(entry)], JSONField())  # noqa: S611  (our own text)
    return {"history": extended, "uncounted": F("uncounted") + 1}


def as_parameter(entry: Entry) -> str:
    """The entry as the parameter of EXTENDED."""
    return json.dumps([entry])


def waited(job: AiJob) -> float:
    """Seconds for which the job was ready and no worker ran it, up to now and in all attempts that are still kept."""
    before = sum(entry.get("waited", 0.0) for entry in job.history)
    match job.status:
        case AiJob.Status.PENDING:
            return before + _seconds(_due(job), timezone.now())
        case AiJob.Status.RUNNING:
            return before + _seconds(_due(job), job.started_at)
    return before


def ran(job: AiJob) -> float:
    """Seconds for which workers ran the job, up to now and in all attempts that are still kept."""
    now = _seconds(job.started_at, timezone.now()) if job.status == AiJob.Status.RUNNING else 0.0
    return now + sum(entry.get("ran", 0.0) for entry in job.history)


def _entry(job: AiJob, outcome: str) -> Entry:
    return {"attempt": job.attempt, "at": timezone.now().isoformat(timespec="milliseconds"), "outcome": outcome}


def _due(job: AiJob) -> datetime:
    return job.run_after or job.created_at


def _seconds(start: datetime | None, end: datetime | None) -> float:
    """Never negative: the clocks of two hosts differ."""
    return round(max(0.0, (end - start).total_seconds()), 3) if start and end else 0.0
