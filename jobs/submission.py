"""The way into the engine: one AiJob row in the caller's transaction, one queue entry on commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.people import Person
from config import logs
from jobs import kinds
from jobs.backends import queues
from jobs.lifecycle import sql
from jobs.models import AiJob


class SubjectBusy(Exception):
    """Another job of the same kind is active on the same subject."""

    def __init__(self, active: AiJob) -> None:
        super().__init__(f"{active.kind} {active.subject} is busy")
        self.active = active


class KeyTaken(Exception):
    """Another call with the same Idempotency-Key was first, at this moment."""


class KeyReused(Exception):
    """The Idempotency-Key was used before, for another request."""


@dataclass(frozen=True)
class Request:
    """Who wants a job; for an HTTP call also its path, validated body and Idempotency-Key, if one was sent.

    `request_id` follows the job through the logs. A job that a run submits has the one of that run's job.
    """

    person: Person
    key: str | None = None
    path: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    request_id: str = field(default_factory=logs.request_id)

    @property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps([self.path, self.body], sort_keys=True, default=str).encode()).hexdigest()


def submit_once(request: Request, create: Callable[[], AiJob]) -> AiJob:
    """Run `create` (which calls `submit`) in a transaction, or return the job an earlier identical call made.

    Raises KeyReused, and SubjectBusy when `create` names a subject that is taken. Nothing is half-created.
    """
    if earlier := _earlier(request):
        return earlier
    try:
        with transaction.atomic():
            return create()
    except (KeyTaken, SubjectBusy):
        # Two identical calls at the same moment: the other one was first, and may hold the subject too.
        if earlier := _earlier(request):
            return earlier
        raise


def submit(
    request: Request, kind: str, payload: dict[str, Any], *, subject: str = "", job_id: UUID | None = None
) -> AiJob:
    """Write a pending job; its queue entry follows when the caller's transaction commits.

    Raises SubjectBusy. Must run inside the transaction that writes what the job is about. What refers to the job and is
    written before it needs to know its id, and names it.
    """
    job = AiJob(
        pk=job_id or uuid4(),
        kind=kind,
        queue=kinds.get(kind).queue,
        owner_id=request.person.user_id,
        visitor=request.person.visitor,
        payload=payload,
        subject=subject,
        max_attempts=settings.JOBS_MAX_FAILURES,
        run_after=timezone.now(),
        enqueued_at=timezone.now(),
        idempotency_key=request.key,
        request_hash=request.hash,
        request_id=request.request_id,
    )
    _insert(job)
    transaction.on_commit(lambda: queues.hand_over(job))
    return job


def _insert(job: AiJob) -> None:
    if sql.insert(job):
        return
    active = AiJob.objects.active().filter(kind=job.kind, subject=job.subject).exclude(subject="").first()
    if active:
        raise SubjectBusy(active)
    if not sql.insert(job):  # else the other one has ended in between
        raise KeyTaken


def _earlier(request: Request) -> AiJob | None:
    if request.key is None:
        return None
    job = AiJob.objects.of(request.person).filter(idempotency_key=request.key).first()
    if job and job.request_hash != request.hash:
        raise KeyReused(request.key)
    return job
