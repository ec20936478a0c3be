"""Keeps the leases of this process's runs alive, and stops runs that were cancelled or lost."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import Error

from jobs.backends import db
from jobs.lifecycle import transitions

if TYPE_CHECKING:
    from jobs.worker.run import Run

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.4  # a cancelled run must hang up within a second

_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


@contextmanager
def over(run: Run) -> Iterator[None]:
    """Watch a run while the block lasts."""
    watch = _watches.setdefault(asyncio.get_running_loop(), _Watch())
    watch.add(run)
    try:
        yield
    finally:
        watch.runs.discard(run)


def active_runs(loop: asyncio.AbstractEventLoop) -> set[Run]:
    """The runs under way on this event loop. To be called on it."""
    return set(_watches[loop].runs) if loop in _watches else set()


class _Watch:
    """One query a tick for all runs of the process, for as long as there are any."""

    def __init__(self) -> None:
        self.runs: set[Run] = set()
        self._task: asyncio.Task[None] | None = None
        self._renewed = time.monotonic()

    def add(self, run: Run) -> None:
        self.runs.add(run)
        if self._task is None or self._task.done():
            # In a context of its own: its log lines are not about the run that happens to be the first.
            self._task = asyncio.create_task(self._watch(), context=contextvars.Context())

    async def _watch(self) -> None:
        while self.runs:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self._renew()
                await self._stop_interrupted()
            except Error as error:
                # Without a database nobody can take the runs away either: go on and look again.
                logger.warning("leases are not renewed, Postgres is away: %s", type(error).__name__)

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed > settings.JOBS_LEASE_SECONDS / 4:
            jobs = [run.job for run in self.runs]
            if jobs:
                await db.call(transitions.renew_leases, jobs[0].worker, jobs)
            self._renewed = time.monotonic()

    async def _stop_interrupted(self) -> None:
        watched = list(self.runs)
        for run in watched:
            if run.stop:  # a cancellation can be swallowed (jobs/worker/loop_thread.py)
                run.interrupt(run.stop)
        interrupted = {job.pk: job for job in await db.call(transitions.interrupted, [r.job for r in watched])}
        for run in watched:
            if run.job.pk in interrupted:
                run.interrupt("cancelled" if interrupted[run.job.pk].cancel_requested else "lost")
