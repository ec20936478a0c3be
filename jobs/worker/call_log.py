"""The account of upstream calls: one AiCall row for each, whatever became of it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from django.db import connection
from pydantic_core import to_json

from jobs.backends import db
from jobs.models import AiJob
from llm.calls import Call

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
_COLUMNS = ", ".join(("job_id", "attempt", "is_counted", *_FIELDS))
# By hand, because Django takes longer to build the statement than all else about a call takes. Calls of a job that
# was deleted meanwhile are left out.
_ENTER = f"""
INSERT INTO jobs_aicall ({_COLUMNS})
SELECT {_COLUMNS} FROM jsonb_populate_recordset(NULL::jobs_aicall, %s) entered
WHERE EXISTS (SELECT FROM jobs_aijob WHERE id = entered.job_id)
"""  # noqa: S608  (names of our own columns)


class Entry(NamedTuple):
    """A call, and the run that made it."""

    run: AiJob
    call: Call


def enter(entries: Sequence[Entry]) -> None:
    """Write these calls down, all or none."""
    rows = [_row(*entry) for entry in entries]
    with connection.cursor() as cursor:
        cursor.execute(_ENTER, [to_json(rows).decode()])


def _row(run: AiJob, call: Call) -> dict[str, object]:
    values = {name: getattr(call, name) for name in _FIELDS}
    return {"job_id": run.pk, "attempt": run.attempt, "is_counted": False, **values}


class Ledger:
    """Has the calls of all runs of an event loop written down. Those that end meanwhile go together, next.

    So a call is written at once while there are few, and hundreds a second are a few statements.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def enter(self, run: AiJob, call: Call) -> asyncio.Future[None]:
        """Done when the call is written down, or cannot be. It never raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((Entry(run, call), done))
        if self._task is None or self._task.done():
            # In a context of its own: its log lines are not about the run that happens to be the first.
            self._task = asyncio.create_task(self._work(), context=contextvars.Context())
        return done

    async def _work(self) -> None:
        while self._waiting:
            together, self._waiting = self._waiting, []
            await self._write([entry for entry, _ in together])
            for _, done in together:
                done.set_result(None)

    async def _write(self, entries: Sequence[Entry]) -> None:
        try:
            await db.insist(enter, entries)
        except Exception as error:
            if len(entries) > 1 and not isinstance(error, db.AWAY):
                for entry in entries:  # one that Postgres refuses must not take the others along
                    await self._write([entry])
                return
            for run, call in entries:
                logger.error("a call of job %s is not in the account: %s", run.pk, call, exc_info=error)


_ledgers: WeakKeyDictionary[asyncio.AbstractEventLoop, Ledger] = WeakKeyDictionary()


def ledger() -> Ledger:
    """The ledger of the running event loop."""
    return _ledgers.setdefault(asyncio.get_running_loop(), Ledger())
