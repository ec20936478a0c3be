"""The three statements that every job needs, written by hand. Only jobs/submission.py and transitions.py use them.

Django's UPDATE cannot return the row, its INSERT cannot tell of a conflict without failing, and both take ten times
as long to build as Postgres takes to run them (docs/decisions/0020).
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from config.sql import first_row
from jobs.lifecycle import history
from jobs.models import AiJob

_FIELDS = AiJob._meta.concrete_fields
_COLUMNS = ", ".join(str(field.column) for field in _FIELDS)
_INSERT = f"""
INSERT INTO jobs_aijob ({_COLUMNS}) VALUES ({", ".join(["%s"] * len(_FIELDS))}) ON CONFLICT DO NOTHING
"""  # noqa: S608  (names of our own columns)
# The clock of the host that set `run_after` may be ahead of this one's. No job is enqueued before it is due.
SKEW = timedelta(seconds=2)
# Columns by name, not `*`: a prepared statement fails once a migration has changed what it returns.
_CLAIM = f"""
UPDATE jobs_aijob
SET status = 'running', attempt = attempt + 1, worker = %(worker)s, started_at = %(now)s, lease_until = %(until)s
WHERE id = %(id)s AND status = 'pending' AND (run_after IS NULL OR run_after <= %(soon)s)
RETURNING {_COLUMNS}
"""  # noqa: S608
# A job whose text was deleted while it ran keeps no result.
_END = f"""
UPDATE jobs_aijob
SET status = %(status)s, finished_at = %(finished_at)s, result = CASE WHEN NOT is_erased THEN %(result)s::jsonb END,
    error_code = %(error_code)s, error_message = %(error_message)s, error_detail = %(error_detail)s,
    retryable = %(retryable)s, run_after = NULL, lease_until = NULL, enqueued_at = NULL,
    history = {history.EXTENDED.format(move="%(move)s")}, uncounted = uncounted + 1
WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'running'
RETURNING is_erased
"""  # noqa: S608
_ENDED = ("status", "finished_at", "error_code", "error_message", "error_detail", "retryable", "id", "attempt")


def insert(job: AiJob) -> bool:
    """Write a new row; False, with nothing written, when its subject or its Idempotency-Key is taken."""
    values = [field.get_db_prep_save(field.pre_save(job, add=True), connection) for field in _FIELDS]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        return bool(cursor.rowcount)


def claim(job_id: UUID, worker: str, now: datetime, until: datetime) -> AiJob | None:
    """Make a due pending job a running one and return it; None when it is not pending, or not due yet."""
    values = {"id": job_id, "worker": worker, "now": now, "soon": now + SKEW, "until": until}
    return next(iter(AiJob.objects.raw(_CLAIM, values)), None)


def end(job: AiJob, move: history.Move) -> bool | None:
    """Write how this attempt ended. Whether the text had been deleted; None if another attempt owns the job."""
    values = {name: getattr(job, name) for name in _ENDED}
    result = None if job.result is None else json.dumps(job.result)
    row = first_row(_END, {**values, "result": result, "move": history.as_parameter(move)})
    return bool(row[0]) if row else None
