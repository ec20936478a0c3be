"""The sweeper: takes jobs back from lost workers, enqueues what is due or was forgotten, and counts what has ended.

Every worker runs it; advisory locks let one of them do each of these at a time.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet, Value
from django.utils import timezone
from redis import RedisError

from config import logs
from config.sql import CLOCK, try_lock
from jobs import actions, kinds, retention
from jobs.backends import queues
from jobs.backends.db import AWAY, Database
from jobs.backends.faults import Faults
from jobs.backends.upstream import Upstream
from jobs.events import outcome, publish
from jobs.events.schema import Event, Retrying
from jobs.lifecycle import transitions
from jobs.models import AiJob
from jobs.monitoring import totals

logger = logging.getLogger(__name__)

ENQUEUE_BATCH = 500
DEACTIVATED_SECONDS = 5.0  # between two looks for jobs of people who were switched off
LOST = "The worker that was writing this answer has stopped. Another one continues."
LOCK, TAKE_BACK_LOCK, PRUNE_LOCK = "jobs.sweeper", "jobs.take_back", "jobs.prune"
REPORT_SECONDS = 60.0


class Sweeper:
    """Sweeps every JOBS_SWEEP_SECONDS; some steps less often. A step that fails keeps no other from its work."""

    def __init__(self, database: Database, upstream: Upstream, faults: Faults) -> None:
        self._db = database
        self._upstream = upstream
        self._faults = faults
        self._looked_for_forgotten = self._looked_for_old = self._counted = self._looked_for_deactivated = -math.inf
        self._reported = self._began = self._grace_until = -math.inf

    async def run(self) -> None:
        """Take back, enqueue, give up and cancel jobs until cancelled."""
        while True:
            passed = [
                await self._step("take back", self._take_back),
                await self._step("enqueue", self._enqueue),
                await self._step("give up", self._db.call, give_up_waiting, self._faults),
                await self._step("cancel", self._cancel),
            ]
            if all(passed):
                await self._step("note", self._db.call, totals.note_sweep)
            await asyncio.sleep(settings.JOBS_SWEEP_SECONDS)

    async def keep_house(self) -> None:
        """Count what has ended and have old rows deleted, until cancelled.

        Apart from `run`: counting a large backlog takes long, and a slow sweep means that Postgres is locked or away.
        """
        while True:
            await self._step("count", self._count)
            await self._step("prune", self._prune)
            await self._step("report", self._report)
            await asyncio.sleep(settings.JOBS_SWEEP_SECONDS)

    async def _step(self, name: str, step: Callable[..., Any], *args: Any) -> bool:
        try:
            await step(*args)
        except (*AWAY, RedisError, OSError) as error:
            logger.warning("the sweeper cannot %s at the moment: %s", name, type(error).__name__)
            if isinstance(error, AWAY):
                self._grace_until = _grace()
            return False
        except Exception as error:
            self._faults.note(name, error)
            return False
        return True

    async def _take_back(self) -> None:
        before, self._began = self._began, time.monotonic()
        await self._db.call(_connect)
        # The last sweep began long ago: Postgres was away or locked, or this process stood still.
        if time.monotonic() - before > settings.JOBS_SWEEP_SECONDS + settings.JOBS_LEASE_SECONDS / 4:
            self._grace_until = _grace()
        if time.monotonic() > self._grace_until:
            await self._db.call(take_back_lost, self._faults)

    async def _enqueue(self) -> None:
        await self._db.call(enqueue_due, self._faults, await self._upstream.blocked())
        if time.monotonic() - self._looked_for_forgotten > settings.JOBS_REQUEUE_SECONDS / 4:
            await self._db.call(enqueue_forgotten, self._faults)
            self._looked_for_forgotten = time.monotonic()

    async def _cancel(self) -> None:
        if time.monotonic() - self._looked_for_deactivated > DEACTIVATED_SECONDS:
            await self._db.call(actions.cancel_of_deactivated)
            self._looked_for_deactivated = time.monotonic()

    async def _count(self) -> None:
        if time.monotonic() - self._counted > totals.COUNT_SECONDS:
            await self._db.call(totals.count_faults, self._faults)
            if not await self._db.call(totals.count, self._faults):
                self._counted = time.monotonic()

    async def _prune(self) -> None:
        if time.monotonic() - self._looked_for_old > retention.CHECK_SECONDS:
            await self._db.call(submit_pruning)
            self._looked_for_old = time.monotonic()

    async def _report(self) -> None:
        if time.monotonic() - self._reported > REPORT_SECONDS:
            await self._db.call(report_strangers)
            self._reported = time.monotonic()


def take_back_lost(faults: Faults) -> None:
    """Take jobs back from lost workers and tell their people."""
    jobs = []
    with transaction.atomic():
        if not try_lock(TAKE_BACK_LOCK):
            return
        for run, is_poisonous in transitions.lost():
            try:
                with transaction.atomic():
                    jobs.append(transitions.take_back(run, is_poisonous))
            except Exception as error:
                faults.note("take back", error, run.pk)
    for job in jobs:
        with logs.about(**job.log_fields):
            logger.warning("job %s lost its worker %s, it is %s now", job.pk, job.worker, job.status)
        try:
            _tell_taken_back(job)
        except Exception as error:
            faults.note("tell", error, job.pk)


def enqueue_due(faults: Faults, blocked: Mapping[str, bool] = {}) -> None:
    """Enqueue pending jobs whose time has come: retries, and jobs that were taken back.

    `blocked`: the models whose circuit breakers hold calls back, and whether a call may find out if they are up again.
    """
    due = _waiting(Q(run_after__isnull=True) | Q(run_after__lte=CLOCK), enqueued_at__isnull=True)
    with transaction.atomic():
        if try_lock(LOCK):
            runnable = due.exclude(_held_back(due, blocked)).exclude(pk__in=_in_quarantine(due))
            _enqueue(_oldest(runnable), faults)


def enqueue_forgotten(faults: Faults) -> None:
    """Enqueue again what was handed to Redis a while ago, was not claimed, and is in no queue any more."""
    since = CLOCK - Value(timedelta(seconds=settings.JOBS_REQUEUE_SECONDS))
    with transaction.atomic():
        if try_lock(LOCK):
            forgotten = queues.forgotten(_oldest(_waiting(enqueued_at__lt=since)))
            for job in forgotten:
                with logs.about(**job.log_fields):
                    logger.warning("job %s was in no queue, it is enqueued again", job.pk)
                queues.forget(job)
            _enqueue(forgotten, faults)


def give_up_waiting(faults: Faults) -> None:
    """Fail jobs that have waited for the upstream for too long, and tell their people, who can repeat them."""
    before = CLOCK - Value(timedelta(seconds=settings.JOBS_MAX_AGE_SECONDS))
    old = Q(asked_at__lt=before) | Q(asked_at=None, created_at__lt=before)
    for job in AiJob.objects.filter(old, status=AiJob.Status.PENDING).exclude(waits_for="")[:ENQUEUE_BATCH]:
        try:
            if failed := transitions.give_up(job):
                with logs.about(**failed.log_fields):
                    logger.warning("job %s waited too long for %s, it has failed", failed.pk, job.waits_for)
                publish.publish_outside_run(failed, outcome.final_event(failed))
        except AWAY:
            raise
        except Exception as error:
            faults.note("give up", error, job.pk)


def submit_pruning() -> None:
    """Have old rows deleted, once a day in all."""
    with transaction.atomic():
        if try_lock(PRUNE_LOCK):
            retention.submit_if_due()


def report_strangers() -> None:
    """Log what kinds and queues of waiting jobs only workers of another release know."""
    known = Q(kind__in=kinds.names(), queue__in=settings.JOBS_QUEUES)
    strangers = AiJob.objects.filter(~known, status=AiJob.Status.PENDING).order_by()
    found = sorted(set(strangers.values_list("kind", "queue")[:ENQUEUE_BATCH]))
    if found:
        names = ", ".join(f"{kind} in {queue}" for kind, queue in found)
        logger.warning("jobs wait for a worker that knows their kind and queue: %s", names)


def _connect() -> None:
    connection.ensure_connection()  # looked up on the thread: each has its own connection


def _grace() -> float:
    """Until when no jobs are taken back, because Postgres may just have come back.

    Leases run out while it is away or locked. Workers that are alive renew them as soon as they can.
    """
    return time.monotonic() + settings.JOBS_LEASE_SECONDS / 2


def _waiting(*conditions: Q, **lookups: Any) -> QuerySet[AiJob]:
    """Pending jobs of our kinds in our queues: what only another release knows is left to its workers."""
    ours = Q(status=AiJob.Status.PENDING, kind__in=kinds.names(), queue__in=settings.JOBS_QUEUES)
    return AiJob.objects.filter(ours, *conditions, **lookups)


def _oldest(jobs: QuerySet[AiJob]) -> list[AiJob]:
    """The oldest of these jobs, with what a queue entry and a log line need."""
    return list(jobs.order_by("created_at").only("kind", "queue", "attempt", "request_id")[:ENQUEUE_BATCH])


def _held_back(due: QuerySet[AiJob], blocked: Mapping[str, bool]) -> Q:
    """Jobs that wait for a blocked model: all but the oldest one that is due, which finds out if the others may go.

    So they cost nothing meanwhile, and run in the order in which they were asked. None goes where staff hold the
    breaker open, or while another one is on its way.
    """
    held = Q(pk__in=[])
    for model, may_probe in blocked.items():
        waiting = AiJob.objects.filter(waits_for=model)
        running, queued = Q(status=AiJob.Status.RUNNING), Q(status=AiJob.Status.PENDING, enqueued_at__isnull=False)
        first: list[UUID] = []
        if may_probe and not waiting.filter(running | queued).exists():
            first = list(due.filter(waits_for=model).order_by("created_at").values_list("pk", flat=True)[:1])
        held |= Q(waits_for=model) & ~Q(pk__in=first)
    return held


def _in_quarantine(due: QuerySet[AiJob]) -> list[UUID]:
    """Jobs that lost their workers repeatedly and have to wait: one runs at a time, to see which one is to blame."""
    quarantined = AiJob.objects.filter(crashes__gte=transitions.QUARANTINED)
    waiting = list(due.filter(crashes__gte=transitions.QUARANTINED).order_by("created_at").values_list("pk", flat=True))
    if not waiting:
        return []
    running, queued = Q(status=AiJob.Status.RUNNING), Q(status=AiJob.Status.PENDING, enqueued_at__isnull=False)
    return waiting if quarantined.filter(running | queued).exists() else waiting[1:]


def _enqueue(jobs: Iterable[AiJob], faults: Faults) -> None:
    """Put jobs into their queues, until Redis takes no more. Their rows are written at the end, in one statement."""
    enqueued = []
    for job in jobs:
        try:
            if not queues.enqueue(job):
                break
        except Exception as error:
            faults.note("enqueue", error, job.pk)
        else:
            enqueued.append(job)
    if enqueued:
        transitions.note_enqueued(enqueued)


def _tell_taken_back(job: AiJob) -> None:
    if job.is_erased:
        publish.forget([job])  # what its lost attempt still published
    event: Event = Retrying(reason=LOST, retryAt=timezone.now().isoformat(timespec="milliseconds"))
    publish.publish_outside_run(job, outcome.final_event(job) if job.is_final else event)
