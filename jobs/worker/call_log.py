"""Writes one AiCall row for each upstream call, however the call ended."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from pydantic_core import to_json

from config import scrub
from jobs.backends.db import AWAY, Database
from jobs.models import AiCall, AiJob
from llm.calls import Call
from llm.text import clean

logger = logging.getLogger(__name__)

_FIELDS = (
    "purpose",
    "model",
    "outcome",
    "error_code",
    "error_detail",
    "upstream_id",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "estimated",
    "cost",
    "governor_ms",
    "first_token_ms",
    "duration_ms",
    "started_at",
)
_LENGTHS = {name: getattr(AiCall._meta.get_field(name), "max_length", None) for name in _FIELDS}
_LARGEST_INT = 2**31 - 1
_LARGEST_COST = Decimal(10**6 - 1)  # the column holds six digits before the point
_COLUMNS = ", ".join(("job_id", "attempt", "is_counted", *_FIELDS))
# Written by hand: Django takes longer to build the statement than everything else about a call takes. Calls of a job
# that was deleted meanwhile are left out.
_INSERT = f"""
INSERT INTO jobs_aicall ({_COLUMNS})
SELECT {_COLUMNS} FROM jsonb_populate_recordset(NULL::jobs_aicall, %s) logged
WHERE EXISTS (SELECT FROM jobs_aijob WHERE id = logged.job_id)
"""  # noqa: S608  (names of our own columns)


class LoggedCall(NamedTuple):
    """A call, and the claimed job whose attempt made it."""

    job: AiJob
    call: Call


def insert(calls: Sequence[LoggedCall]) -> None:
    """Insert the rows of these calls, all or none. A value that its column does not hold is cut or bounded."""
    rows = [
        {name: _fitting(name, getattr(call, name)) for name in _FIELDS}
        | {"error_detail": _fitting("error_detail", scrub.scrubbed(call.error_detail))}
        | {"job_id": job.pk, "attempt": job.attempt, "is_counted": False}
        for job, call in calls
    ]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [to_json(rows).decode()])


def _fitting(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)[: _LENGTHS[name]]
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(value, 0), _LARGEST_INT)
    if isinstance(value, Decimal):
        return min(max(value, Decimal()), _LARGEST_COST)
    return value


class CallLog:
    """Writes the rows of all attempts of a worker; calls that end during a write join the next batch.

    So a call is written at once while there are few, and hundreds a second take a few statements.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._waiting: list[tuple[LoggedCall, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def record(self, job: AiJob, call: Call) -> asyncio.Future[None]:
        """Write the call's row. The future is done when it is written, or cannot be; it never raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((LoggedCall(job, call), done))
        if self._task is None or self._task.done():
            # In a new context: its log lines are not about the attempt that happens to be the first.
            self._task = asyncio.create_task(self._work(), context=contextvars.Context())
        return done

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await self._write([logged for logged, _ in batch])
            for _, done in batch:
                done.set_result(None)

    async def _write(self, calls: Sequence[LoggedCall]) -> None:
        try:
            await self._db.insist(insert, calls)
        except Exception as error:
            if len(calls) > 1 and not isinstance(error, AWAY):
                for logged in calls:  # a call that Postgres refuses must not take the others along
                    await self._write([logged])
                return
            for job, call in calls:
                logger.error("a call of job %s has no row: %s", job.pk, call, exc_info=error)
