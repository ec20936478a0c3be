"""How a job enters the engine: one AiJob row in the caller's transaction, one queue entry on commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from accounts.people import Person
from config import logs
from jobs.backends import queues
from jobs.kinds import JobKind
from jobs.lifecycle import sql
from jobs.models import AiJob


class SubjectBusy(Exception):
    """Another job of the same kind is active on the same subject."""

    def __init__(self, active: AiJob) -> None:
        super().__init__(f"{active.kind} {active.subject} is busy")
        self.active = active


class KeyTaken(Exception):
    """Another call with the same Idempotency-Key came first, at the same moment."""


class KeyReused(Exception):
    """The Idempotency-Key was used before, with another path or body."""


@dataclass(frozen=True)
class Submission:
    """Who submits a job; for an HTTP call also its path, validated body and Idempotency-Key, if one was sent.

    `request_id` names the HTTP call in the logs. A job that a run submits inherits that of the run's job.
    """

    person: Person
    key: str | None = None
    path: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    request_id: str = field(default_factory=logs.request_id)

    @property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps([self.path, self.body], sort_keys=True, default=str).encode()).hexdigest()


def submit_once(submission: Submission, create: Callable[[], AiJob]) -> AiJob:
    """Run `create` (which calls `submit`) in a transaction, or return the job that an earlier identical call made.

    Raises KeyReused, and SubjectBusy when `create` names a subject that is taken. Nothing is half-created.
    """
    if earlier := _earlier(submission):
        return earlier
    try:
        with transaction.atomic():
            return create()
    except (KeyTaken, SubjectBusy):
        # Two identical calls at the same moment: the other one came first, and may hold the subject too.
        if earlier := _earlier(submission):
            return earlier
        raise


def submit(
    submission: Submission, kind: JobKind, payload: dict[str, Any], *, subject: str = "", job_id: UUID | None = None
) -> AiJob:
    """Write a pending job; its queue entry follows when the caller's transaction commits.

    Raises SubjectBusy. Must run inside the transaction that writes what the job is about. A row that refers to the job
    and is written first decides its `job_id`.
    """
    job = AiJob(
        pk=job_id or uuid4(),
        kind=kind.name,
        queue=kind.queue,
        owner_id=submission.person.user_id,
        visitor=submission.person.visitor,
        payload=payload,
        subject=subject,
        max_attempts=settings.JOBS_MAX_FAILURES,
        idempotency_key=submission.key,
        request_hash=submission.hash,
        request_id=submission.request_id,
    )
    _insert(job)
    transaction.on_commit(lambda: queues.dispatch(job))
    return job


def _insert(job: AiJob) -> None:
    if sql.insert(job):
        return
    active = AiJob.objects.active().filter(kind=job.kind, subject=job.subject).exclude(subject="").first()
    if active:
        raise SubjectBusy(active)
    if not sql.insert(job):  # it succeeds where the other job has ended in between
        raise KeyTaken


def _earlier(submission: Submission) -> AiJob | None:
    if submission.key is None:
        return None
    job = AiJob.objects.of(submission.person).filter(idempotency_key=submission.key).first()
    if job and job.request_hash != submission.hash:
        raise KeyReused(submission.key)
    return job
