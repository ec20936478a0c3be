"""The statements that every job needs, written by hand. Only submission and transitions use them.

Django's UPDATE cannot return the row, its INSERT cannot tell of a conflict without failing, and both take ten times
as long to build as Postgres takes to run them (docs/decisions/0020). Every time is read from the clock of Postgres, at
the moment when the row is written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from config.sql import first_row
from jobs.lifecycle import history
from jobs.models import AiJob

_FIELDS = AiJob._meta.concrete_fields
_COLUMNS = ", ".join(str(field.column) for field in _FIELDS)
_SET_BY_CLOCK = ("created_at", "asked_at", "run_after", "enqueued_at")
_VALUES = ", ".join("clock_timestamp()" if field.name in _SET_BY_CLOCK else "%s" for field in _FIELDS)
_INSERT = f"""
INSERT INTO jobs_aijob ({_COLUMNS}) VALUES ({_VALUES}) ON CONFLICT DO NOTHING RETURNING created_at
"""  # noqa: S608  (names of our own columns)
# Columns by name, not `*`: a prepared statement fails once a migration has changed what it returns.
_CLAIM = f"""
UPDATE jobs_aijob
SET status = 'running', attempt = attempt + 1, worker = %(worker)s, started_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE id = %(id)s AND status = 'pending' AND kind = ANY(%(kinds)s)
    AND (run_after IS NULL OR run_after <= clock_timestamp())
RETURNING {_COLUMNS}
"""  # noqa: S608
_ATTEMPTS = "(id, attempt) IN (SELECT * FROM unnest(%(ids)s::uuid[], %(attempts)s::integer[]))"
# Rows are locked first: the lease begins when the row is free, not when the statement began to wait for it.
_RENEW = f"""
WITH held AS (
    SELECT id FROM jobs_aijob WHERE {_ATTEMPTS} AND status = 'running' FOR NO KEY UPDATE {{locked}}
)
UPDATE jobs_aijob SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
FROM held WHERE jobs_aijob.id = held.id
RETURNING jobs_aijob.id, jobs_aijob.attempt
"""  # noqa: S608
_RENEW_FREE, _RENEW_ALL = _RENEW.format(locked="SKIP LOCKED"), _RENEW.format(locked="")
_ENQUEUED = f"""
UPDATE jobs_aijob SET enqueued_at = clock_timestamp() WHERE {_ATTEMPTS} AND status = 'pending'
"""  # noqa: S608
# A job whose text was deleted while it ran keeps no result.
_END = f"""
UPDATE jobs_aijob
SET status = %(status)s, finished_at = clock_timestamp(),
    result = CASE WHEN NOT is_erased THEN %(result)s::jsonb END,
    error_code = %(error_code)s, error_message = %(error_message)s, error_detail = %(error_detail)s,
    retryable = %(retryable)s, waits_for = '', run_after = NULL, lease_until = NULL, enqueued_at = NULL,
    history = {history.EXTENDED.format(move="%(move)s")}, uncounted = uncounted + 1
WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'running'
RETURNING is_erased, finished_at
"""  # noqa: S608
_ENDED = ("status", "error_code", "error_message", "error_detail", "retryable", "id", "attempt")


class Attempt(NamedTuple):
    """One attempt of a job, the running one or of a pending job the last."""

    job_id: UUID
    number: int


def insert(job: AiJob) -> bool:
    """Write a new row and set its times; False, with nothing written, when its subject or Idempotency-Key is taken."""
    fields = [field for field in _FIELDS if field.name not in _SET_BY_CLOCK]
    row = first_row(_INSERT, [field.get_db_prep_save(field.pre_save(job, add=True), connection) for field in fields])
    if row:
        job.created_at = job.asked_at = job.run_after = job.enqueued_at = row[0]
    return row is not None


def claim(job_id: UUID, worker: str, kinds: Collection[str], lease: float) -> AiJob | None:
    """Make a due pending job a running one, with a lease of this many seconds, and return it.

    None when it is not pending, not due yet, or of none of these kinds.
    """
    values = {"id": job_id, "worker": worker, "kinds": list(kinds), "lease": lease}
    job = next(iter(AiJob.objects.raw(_CLAIM, values)), None)
    if job:
        job.claimed = time.monotonic()
    return job


def renew(attempts: Collection[Attempt], lease: float, *, wait: bool) -> set[Attempt]:
    """Let the leases of these attempts end in this many seconds. Returns the attempts whose leases were extended.

    Rows that another transaction has locked are left out, or with `wait` waited for.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RENEW_ALL if wait else _RENEW_FREE, {**_arrays(attempts), "lease": lease})
        return {Attempt(*row) for row in cursor.fetchall()}


def mark_enqueued(attempts: Collection[Attempt]) -> None:
    """Note that the jobs after these last attempts were put into their queues just now."""
    with connection.cursor() as cursor:
        cursor.execute(_ENQUEUED, _arrays(attempts))


def end(job: AiJob, move: history.Move) -> bool | None:
    """Write how this attempt ended. Whether the text had been deleted; None if another attempt owns the job."""
    values = {name: getattr(job, name) for name in _ENDED}
    result = None if job.result is None else json.dumps(job.result)
    row = first_row(_END, {**values, "result": result, "move": history.as_parameter(move)})
    if row is None:
        return None
    job.finished_at = row[1]
    return bool(row[0])


def _arrays(attempts: Collection[Attempt]) -> dict[str, Any]:
    return {"ids": [each.job_id for each in attempts], "attempts": [each.number for each in attempts]}
