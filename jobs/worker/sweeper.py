"""The sweeper: takes jobs back from lost workers, enqueues what is due or was forgotten, and counts what has ended.

Every worker runs it; an advisory lock lets one of them enqueue at a time.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from redis import RedisError

from config import logs
from config.sql import try_lock
from jobs import actions, retention
from jobs.backends import queues
from jobs.backends.db import Database
from jobs.backends.upstream import Upstream
from jobs.events import outcome, publish
from jobs.events.schema import Retrying
from jobs.lifecycle import transitions
from jobs.models import AiJob
from jobs.monitoring import totals
from llm.errors import ErrorKind

logger = logging.getLogger(__name__)

ENQUEUE_BATCH = 500
DEACTIVATED_SECONDS = 5.0  # between two looks for jobs of people who were switched off
LOST = "The worker that was writing this answer has stopped. Another one continues."
LOCK = "jobs.sweeper"


class Sweeper:
    """Sweeps every JOBS_SWEEP_SECONDS; some steps less often."""

    def __init__(self, database: Database, upstream: Upstream) -> None:
        self._db = database
        self._upstream = upstream
        self._looked_for_forgotten = self._looked_for_old = self._counted = self._looked_for_deactivated = -math.inf
        self._grace_until = _grace()

    async def run(self) -> None:
        """Sweep until cancelled. When Postgres or Redis fails, that is logged and the next round tries again."""
        while True:
            try:
                await self._sweep()
            except (Error, RedisError, OSError) as error:
                logger.warning("this sweep is skipped: %s", type(error).__name__)
                if isinstance(error, Error):
                    self._grace_until = _grace()
            await asyncio.sleep(settings.JOBS_SWEEP_SECONDS)

    async def _sweep(self) -> None:
        began = time.monotonic()
        await self._db.call(_connect)
        if time.monotonic() - began > settings.JOBS_LEASE_SECONDS / 4:  # Postgres was away, for instance
            self._grace_until = _grace()
        if time.monotonic() > self._grace_until:
            await self._db.call(take_back_lost)
        await self._db.call(enqueue_due, await self._upstream.is_paused())
        if time.monotonic() - self._looked_for_forgotten > settings.JOBS_REQUEUE_SECONDS / 4:
            await self._db.call(enqueue_forgotten)
            self._looked_for_forgotten = time.monotonic()
        if time.monotonic() - self._looked_for_deactivated > DEACTIVATED_SECONDS:
            await self._db.call(actions.cancel_of_deactivated)
            self._looked_for_deactivated = time.monotonic()
        if time.monotonic() - self._counted > totals.COUNT_SECONDS and not await self._db.call(totals.count):
            self._counted = time.monotonic()
        if time.monotonic() - self._looked_for_old > retention.CHECK_SECONDS:
            await self._db.call(submit_pruning)
            self._looked_for_old = time.monotonic()


def take_back_lost() -> None:
    """Take jobs back from lost workers and tell their people."""
    for job in transitions.take_back_lost():
        with logs.about(**job.log_fields):
            logger.warning("job %s lost its worker %s, it is %s now", job.pk, job.worker, job.status)
        retrying = Retrying(reason=LOST, retryAt=timezone.now().isoformat(timespec="milliseconds"))
        publish.publish_outside_run(job, outcome.final_event(job) if job.is_final else retrying)


def enqueue_due(is_paused: bool = False) -> None:
    """Enqueue pending jobs whose time has come: retries, and jobs that were taken back.

    While the upstream is paused, of the jobs that wait for it only the oldest is enqueued: its attempt finds out
    whether the others may go. So they cost nothing meanwhile, and run in the order in which they were asked.
    """
    now = timezone.now()
    due = AiJob.objects.filter(
        Q(run_after__isnull=True) | Q(run_after__lte=now),
        status=AiJob.Status.PENDING,
        enqueued_at__isnull=True,
    )
    with transaction.atomic():
        if try_lock(LOCK):
            held_back = _held_back() if is_paused else AiJob.objects.none()
            runnable = due.exclude(pk__in=held_back).exclude(pk__in=_in_quarantine(due))
            for job in runnable.order_by("created_at")[:ENQUEUE_BATCH]:
                _enqueue(job)


def enqueue_forgotten() -> None:
    """Enqueue again what was handed to Redis a while ago, was not claimed, and is in no queue any more."""
    since = timezone.now() - timedelta(seconds=settings.JOBS_REQUEUE_SECONDS)
    waiting = AiJob.objects.filter(status=AiJob.Status.PENDING, enqueued_at__lt=since).order_by("created_at")
    with transaction.atomic():
        if try_lock(LOCK):
            for job in queues.forgotten(waiting):
                with logs.about(**job.log_fields):
                    logger.warning("job %s was in no queue, it is enqueued again", job.pk)
                queues.forget(job)
                _enqueue(job)


def submit_pruning() -> None:
    """Have old rows deleted, once a day in all."""
    with transaction.atomic():
        if try_lock(LOCK):
            retention.submit_if_due()


def _connect() -> None:
    connection.ensure_connection()  # looked up on the thread: each has its own connection


def _grace() -> float:
    """Until when no jobs are taken back, because Postgres may just have come back.

    Leases run out while it is away. Workers that are alive renew them as soon as they can.
    """
    return time.monotonic() + settings.JOBS_LEASE_SECONDS / 2


def _held_back() -> QuerySet[AiJob]:
    paused = AiJob.objects.filter(status=AiJob.Status.PENDING, error_code=ErrorKind.PAUSED.value.code).order_by(
        "created_at"
    )
    return paused.exclude(pk__in=list(paused.values_list("pk", flat=True)[:1]))


def _in_quarantine(due: QuerySet[AiJob]) -> list[UUID]:
    """Jobs that lost their workers repeatedly and have to wait: one runs at a time, to see which one is to blame."""
    quarantined = AiJob.objects.filter(crashes__gte=transitions.QUARANTINED)
    waiting = list(due.filter(crashes__gte=transitions.QUARANTINED).order_by("created_at").values_list("pk", flat=True))
    if not waiting:
        return []
    running, queued = Q(status=AiJob.Status.RUNNING), Q(status=AiJob.Status.PENDING, enqueued_at__isnull=False)
    return waiting if quarantined.filter(running | queued).exists() else waiting[1:]


def _enqueue(job: AiJob) -> None:
    if queues.enqueue(job):
        AiJob.objects.filter(pk=job.pk, attempt=job.attempt).update(enqueued_at=timezone.now())
