"""Keeps the leases of this process's attempts alive, and stops attempts that were cancelled or lost."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from django.conf import settings
from django.db import Error

from jobs.backends.cancellation import end
from jobs.backends.db import Database
from jobs.lifecycle import transitions
from jobs.models import AiJob

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.4  # a cancelled attempt must hang up within a second

Stop = Literal["cancelled", "lost", "released"]


class Leased(Protocol):
    """An attempt under way. `stop` says why it has to stop, once it has."""

    job: AiJob
    stop: Stop | None

    def interrupt(self, stop: Stop) -> None: ...


class Leases:
    """Makes one query a tick for all attempts of the process, while there are any."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._held: set[Leased] = set()
        self._task: asyncio.Task[None] | None = None
        self._renewed = time.monotonic()

    @contextmanager
    def holding(self, attempt: Leased) -> Iterator[None]:
        """Keep the attempt's lease alive, and interrupt it if need be, until the block ends."""
        self._held.add(attempt)
        if self._task is None or self._task.done():
            # In a new context: its log lines are not about the attempt that happens to be the first.
            self._task = asyncio.create_task(self._work(), context=contextvars.Context())
        try:
            yield
        finally:
            self._held.discard(attempt)

    def active(self) -> set[Leased]:
        """The attempts under way. Must be called on the event loop."""
        return set(self._held)

    async def close(self) -> None:
        """End the background task. No attempt may be under way."""
        if self._task:
            await end(self._task)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if not self._held:
                return
            try:
                await self._renew()
                await self._stop_interrupted()
            except Error as error:
                # Without a database nobody can take the jobs away either: go on and try again.
                logger.warning("leases are not renewed, Postgres is away: %s", type(error).__name__)

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed > settings.JOBS_LEASE_SECONDS / 4:
            jobs = [attempt.job for attempt in self._held]
            await self._db.call(transitions.renew_leases, jobs[0].worker, jobs)
            self._renewed = time.monotonic()

    async def _stop_interrupted(self) -> None:
        held = list(self._held)
        for attempt in held:
            if attempt.stop:  # a cancellation can be swallowed (cancellation.end)
                attempt.interrupt(attempt.stop)
        interrupted = {job.pk: job for job in await self._db.call(transitions.interrupted, [a.job for a in held])}
        for attempt in held:
            if attempt.job.pk in interrupted:
                attempt.interrupt("cancelled" if interrupted[attempt.job.pk].cancel_requested else "lost")
