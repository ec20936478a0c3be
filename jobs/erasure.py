"""Deleting what people and the AI said: the text goes, from Postgres and Redis, what it cost stays."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import QuerySet

from jobs.events import outcome, publish
from jobs.lifecycle import transitions
from jobs.models import AiJob


def hold(jobs: QuerySet[AiJob]) -> None:
    """Keep everybody else from changing these jobs until the transaction ends.

    A run that ends takes its job first, then what the job is about: who takes them the other way round may meet it.
    """
    list(jobs.select_for_update(no_key=True).order_by("pk").values_list("pk"))


def erase(jobs: QuerySet[AiJob]) -> None:
    """Take the text out of these jobs for good; active ones are cancelled. Runs in the caller's transaction.

    A run that is under way stops within a second and keeps nothing of what it wrote. The rows stay, with their calls.
    """
    cancelled = [transitions.request_cancel(job) for job in jobs.filter(status__in=AiJob.ACTIVE)]
    erased = list(jobs.select_for_update(no_key=True))
    jobs.update(is_erased=True, payload={}, result=None, idempotency_key=None, request_hash="")
    ended = [job for job in cancelled if job and job.is_final]
    transaction.on_commit(lambda: _drop_events(erased, ended))


def _drop_events(erased: list[AiJob], cancelled: list[AiJob]) -> None:
    publish.forget(erased)
    if cancelled:  # somebody may be waiting for their end
        async_to_sync(_tell_ends)(cancelled)


async def _tell_ends(cancelled: list[AiJob]) -> None:
    for job in cancelled:
        job.is_erased = True
        await publish.publish_outside_run(job, outcome.final_event(job))
