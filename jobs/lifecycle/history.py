"""What became of each attempt at a job: a short list on its row, for staff and for the running totals.

Only transitions.py adds to it, in the UPDATE that makes the move.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any, TypedDict

from django.db.models import F, JSONField
from django.db.models.expressions import RawSQL
from django.utils import timezone

from jobs.models import AiJob

LENGTH = 20  # the newest moves are kept; few jobs have so many
DETAIL_LENGTH = 300
# The history with one move more and, when there are too many, without the oldest. Its parameter is a JSON array.
EXTENDED = f"jsonb_path_query_array(history, '$[last - {LENGTH - 2} to last]') || {{move}}::jsonb"


class Move(TypedDict, total=False):
    """One move of a job between states. `waited` and `ran` are seconds of this attempt; `ran` only if it ran."""

    attempt: int
    at: str
    outcome: str  # completed, failed, cancelled, deferred, released, lost or retried
    code: str
    detail: str
    waited: float
    ran: float
    paid: int  # attempts so far, this one included, whose answer was paid for and could not be used


def of_run(run: AiJob, outcome: str, code: str = "", detail: str = "") -> Move:
    """How this attempt ended. `run` is the row as it was claimed."""
    move = _move(run, outcome)
    move["waited"] = _seconds(_due(run), run.started_at)
    # By this process's own clock where it claimed the job: that of Postgres, which set `started_at`, may differ.
    own = round(time.monotonic() - run.claimed, 3) if run.claimed is not None else None
    move["ran"] = _seconds(run.started_at, timezone.now()) if own is None else own
    if code:
        move["code"] = code
    if detail:
        move["detail"] = detail[:DETAIL_LENGTH]
    return move


def of_waiting(job: AiJob, outcome: str, code: str = "") -> Move:
    """How a job ended while it waited."""
    move = _move(job, outcome)
    move["waited"] = _seconds(_due(job), timezone.now())
    if code:
        move["code"] = code
    return move


def of_retried(job: AiJob) -> Move:
    """That a failed or cancelled job begins again."""
    return _move(job, "retried")


def added(move: Move) -> dict[str, Any]:
    """The values of an UPDATE that adds the move, and drops the oldest when there are too many."""
    extended = RawSQL(EXTENDED.format(move="%s"), [as_parameter(move)], JSONField())  # noqa: S611  (our own text)
    return {"history": extended, "uncounted": F("uncounted") + 1}


def as_parameter(move: Move) -> str:
    """The move as the parameter of EXTENDED."""
    return json.dumps([move])


def waited(job: AiJob) -> float:
    """Seconds for which the job was ready and no worker ran it, until now, in the attempts that the history keeps."""
    before = sum(move.get("waited", 0.0) for move in job.history)
    match job.status:
        case AiJob.Status.PENDING:
            return before + _seconds(_due(job), timezone.now())
        case AiJob.Status.RUNNING:
            return before + _seconds(_due(job), job.started_at)
    return before


def ran(job: AiJob) -> float:
    """Seconds for which workers ran the job, until now, in the attempts that the history keeps."""
    now = _seconds(job.started_at, timezone.now()) if job.status == AiJob.Status.RUNNING else 0.0
    return now + sum(move.get("ran", 0.0) for move in job.history)


def paid(job: AiJob) -> int:
    """How many attempts since the job was asked for, or repeated, were paid for and could not be used."""
    count = 0
    for move in job.history:
        count = 0 if move["outcome"] == "retried" else max(count, move.get("paid", 0))
    return count


def _move(job: AiJob, outcome: str) -> Move:
    return {"attempt": job.attempt, "at": timezone.now().isoformat(timespec="milliseconds"), "outcome": outcome}


def _due(job: AiJob) -> datetime:
    return job.run_after or job.created_at


def _seconds(start: datetime | None, end: datetime | None) -> float:
    """Seconds between the two; 0 rather than negative, since the clocks of two hosts differ."""
    return round(max(0.0, (end - start).total_seconds()), 3) if start and end else 0.0
