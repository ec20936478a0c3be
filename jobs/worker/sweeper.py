"""The sweeper: brings back what Redis forgot and what lost workers left behind, and counts what has ended.

Every worker runs it.
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
from jobs import retention
from jobs.backends import db, queues, upstream
from jobs.events import outcome, publish
from jobs.events.schema import Event, Retrying
from jobs.lifecycle import transitions
from jobs.models import AiJob
from jobs.monitoring import totals
from llm.errors import Kind

logger = logging.getLogger(__name__)

BATCH = 500
LOST = "The worker that was writing this answer has stopped. Another one continues."
_LOCK = 0x41694A6F62  # any number of our own: one sweeper at a time, in all processes


async def sweep_forever() -> None:
    """Sweep until cancelled. Trouble with Postgres or Redis is logged and the next round tries again."""
    looked_for_forgotten = looked_for_old = counted = -math.inf
    patient_until = _patience()
    while True:
        try:
            if await _seconds_to_reach_postgres() > settings.JOBS_LEASE_SECONDS / 4:
                patient_until = _patience()
            if time.monotonic() > patient_until:
                for job, event in await db.call(take_back_lost):
                    await publish.publish_outside_run(job, event)
            await db.call(enqueue_due, await upstream.is_paused())
            if time.monotonic() - looked_for_forgotten > settings.JOBS_REQUEUE_SECONDS / 4:
                await db.call(enqueue_forgotten)
                looked_for_forgotten = time.monotonic()
            if time.monotonic() - counted > totals.COUNT_SECONDS and not await db.call(totals.count):
                counted = time.monotonic()
            if time.monotonic() - looked_for_old > retention.LOOK_SECONDS:
                await db.call(submit_pruning)
                looked_for_old = time.monotonic()
        except (Error, RedisError, OSError) as error:
            logger.warning("this sweep is left out: %s", type(error).__name__)
            if isinstance(error, Error):
                patient_until = _patience()
        await asyncio.sleep(settings.JOBS_SWEEP_SECONDS)


async def _seconds_to_reach_postgres() -> float:
    """How long this process had to wait for a connection: while Postgres was away, for one thing."""
    began = time.monotonic()
    await db.call(_connect)
    return time.monotonic() - began


def _connect() -> None:
    connection.ensure_connection()  # looked up here: each thread has its own


def _patience() -> float:
    """Until when nobody's jobs are taken back, for Postgres may just have come back.

    Leases run out while it is away. Workers that live renew them as soon as they can.
    """
    return time.monotonic() + settings.JOBS_LEASE_SECONDS / 2


def take_back_lost() -> list[tuple[AiJob, Event]]:
    """Take jobs back from lost workers; returns what their people have to be told."""
    news = []
    for job in transitions.take_back_lost():
        with logs.about(**job.log_fields):
            logger.warning("job %s lost its worker %s, it is %s now", job.pk, job.worker, job.status)
        retrying = Retrying(reason=LOST, retryAt=timezone.now().isoformat(timespec="milliseconds"))
        news.append((job, outcome.final_event(job) if job.is_final else retrying))
    return news


def enqueue_due(is_paused: bool = False) -> None:
    """Enqueue pending jobs whose time has come: retries, and jobs taken back.

    While the upstream is paused, of those that wait for it only the one that has waited longest: it finds out whether
    the others may go. So they cost nothing meanwhile, and go in the order in which they were asked.
    """
    now = timezone.now()
    due = AiJob.objects.filter(
        Q(run_after__isnull=True) | Q(run_after__lte=now),
        status=AiJob.Status.PENDING,
        enqueued_at__isnull=True,
    )
    with transaction.atomic():
        if _may_sweep():
            held_back = _held_back() if is_paused else AiJob.objects.none()
            for job in due.exclude(pk__in=held_back).exclude(pk__in=_in_quarantine(due)).order_by("created_at")[:BATCH]:
                _enqueue(job)


def _held_back() -> QuerySet[AiJob]:
    paused = AiJob.objects.filter(status=AiJob.Status.PENDING, error_code=Kind.PAUSED.value.code).order_by("created_at")
    return paused.exclude(pk__in=list(paused.values_list("pk", flat=True)[:1]))


def _in_quarantine(due: QuerySet[AiJob]) -> list[UUID]:
    """Jobs that were lost with their workers again and again: one of them at a time, so that it is seen which it is."""
    quarantined = AiJob.objects.filter(crashes__gte=transitions.QUARANTINED)
    waiting = list(due.filter(crashes__gte=transitions.QUARANTINED).order_by("created_at").values_list("pk", flat=True))
    if not waiting:
        return []
    running, queued = Q(status=AiJob.Status.RUNNING), Q(status=AiJob.Status.PENDING, enqueued_at__isnull=False)
    return waiting if quarantined.filter(running | queued).exists() else waiting[1:]


def enqueue_forgotten() -> None:
    """Enqueue again what was handed to Redis a while ago, is not taken, and is in no queue any more."""
    since = timezone.now() - timedelta(seconds=settings.JOBS_REQUEUE_SECONDS)
    waiting = AiJob.objects.filter(status=AiJob.Status.PENDING, enqueued_at__lt=since).order_by("created_at")
    with transaction.atomic():
        if _may_sweep():
            for job in queues.forgotten(waiting):
                with logs.about(**job.log_fields):
                    logger.warning("job %s was in no queue, it is enqueued again", job.pk)
                queues.forget(job)
                _enqueue(job)


def submit_pruning() -> None:
    """Have old jobs deleted, once a day in all."""
    with transaction.atomic():
        if _may_sweep():
            retention.submit_if_due()


def _enqueue(job: AiJob) -> None:
    if queues.enqueue(job):
        AiJob.objects.filter(pk=job.pk, attempt=job.attempt).update(enqueued_at=timezone.now())


def _may_sweep() -> bool:
    """Whether no other process sweeps at this moment; holds until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])
