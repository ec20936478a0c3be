"""Keeps the leases of this process's attempts alive, and stops attempts that were cancelled or lost."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from django.conf import settings

from jobs.backends.cancellation import end
from jobs.backends.db import AWAY, Database
from jobs.backends.faults import Faults
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

    def __init__(self, database: Database, faults: Faults) -> None:
        self._db = database
        self._faults = faults
        self._held: set[Leased] = set()
        self._task: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None  # for rows that another transaction has locked
        self._renewed = -math.inf
        self._is_handing_back = False

    @contextmanager
    def holding(self, attempt: Leased) -> Iterator[None]:
        """Keep the attempt's lease alive, and interrupt it if need be, until the block ends."""
        if not self._held:
            self._renewed = time.monotonic()  # it was claimed just now
        self._held.add(attempt)
        if self._task is None or self._task.done():
            # In a new context: its log lines are not about the attempt that happens to be the first.
            self._task = asyncio.create_task(self._work(), context=contextvars.Context())
        if self._is_handing_back:
            attempt.interrupt("released")
        try:
            yield
        finally:
            self._held.discard(attempt)

    def active(self) -> set[Leased]:
        """The attempts under way. Must be called on the event loop."""
        return set(self._held)

    def hand_back(self) -> None:
        """Have all attempts hand their jobs back, also those that begin from now on. On the event loop."""
        self._is_handing_back = True
        for attempt in self.active():
            attempt.interrupt("released")

    async def close(self) -> None:
        """End the background task. No attempt may be under way."""
        for task in (self._task, self._waiting):
            if task:
                await end(task)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if not self._held:
                return
            try:
                await self._renew()
                await self._stop_interrupted()
            except AWAY as error:
                # Without a database nobody can take the jobs away either: go on and try again.
                logger.warning("leases are not renewed, Postgres is away: %s", type(error).__name__)
            except Exception as error:
                self._faults.note("leases", error)

    async def _renew(self) -> None:
        began = time.monotonic()
        if began - self._renewed > settings.JOBS_LEASE_SECONDS / 4:
            locked = await self._db.call(transitions.renew_leases, [attempt.job for attempt in self._held])
            if locked and (self._waiting is None or self._waiting.done()):
                self._waiting = asyncio.create_task(self._renew_locked(locked), context=contextvars.Context())
            # From its beginning: a renewal that took long is made again at once.
            self._renewed = began

    async def _renew_locked(self, runs: list[AiJob]) -> None:
        """Renew the leases of rows that another transaction has locked, as soon as they are free."""
        try:
            await self._db.call(transitions.renew_leases, runs, wait=True)
        except Exception as error:
            self._faults.note("leases", error)

    async def _stop_interrupted(self) -> None:
        held = list(self._held)
        for attempt in held:
            if attempt.stop:  # a cancellation can be swallowed (cancellation.end)
                attempt.interrupt(attempt.stop)
        rows = await self._db.call(transitions.current, [attempt.job for attempt in held])
        for attempt in held:
            row = rows.get(attempt.job.pk)
            if row is None or row.attempt != attempt.job.attempt:
                attempt.interrupt("lost")
            elif row.cancel_requested:
                attempt.interrupt("cancelled")
