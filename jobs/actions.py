"""What people do with jobs, from the API, the socket and the admin alike: cancel, retry, erase.

Synchronous functions. An event loop calls them on its database threads.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.db.models import QuerySet

from config.staff import Acting
from jobs.backends import queues
from jobs.events import outcome, publish
from jobs.lifecycle import transitions
from jobs.models import AiJob


def cancel(job: AiJob, by: Acting | None = None) -> AiJob | None:
    """Cancel a job that has not ended; None if it has. A running one ends within a second.

    `by` is the member of staff who does it, for the record; None for the job's person and for the system.
    """
    with transaction.atomic():
        cancelled = transitions.request_cancel(job)
        if cancelled and by:
            by.record(cancelled, "Cancelled")
    if cancelled and cancelled.is_final:
        publish.publish_outside_run(cancelled, outcome.final_event(cancelled))
    return cancelled


def retry(job: AiJob, admit: Callable[[], None] = lambda: None, by: Acting | None = None) -> AiJob | None:
    """Run a failed or cancelled job again; None if its state forbids it. `by` as for `cancel`.

    Raises IntegrityError if its subject is busy, and what `admit` raises.
    """
    with transaction.atomic():
        retried = transitions.retry(job, admit)
        if retried and by:
            by.record(retried, "Retried")
    if retried:
        publish.forget([retried])  # or a viewer takes its old end for the new one
        queues.enqueue(retried)
    return retried


def cancel_of_deactivated() -> None:
    """Cancel the active jobs of people whose accounts have been deactivated, in whatever way that was done."""
    of_deactivated = AiJob.objects.filter(owner__is_active=False, cancel_requested=False)
    for status in AiJob.ACTIVE:  # each has its index
        for job in of_deactivated.filter(status=status):
            cancel(job)


def hold(jobs: QuerySet[AiJob]) -> None:
    """Lock these jobs until the transaction ends.

    An attempt that ends locks its job first, then what the job is about. Whoever locks both must use the same order,
    or the two deadlock.
    """
    list(jobs.select_for_update(no_key=True).order_by("pk").values_list("pk"))


def erase(jobs: QuerySet[AiJob]) -> None:
    """Delete the text of these jobs for good; active ones are cancelled. Runs in the caller's transaction.

    A running attempt stops within a second and saves nothing of what it wrote. The rows stay, with their calls.
    """
    cancelled = [transitions.request_cancel(job) for job in jobs.filter(status__in=AiJob.ACTIVE)]
    erased = list(jobs.select_for_update(no_key=True))
    jobs.update(is_erased=True, payload={}, result=None, idempotency_key=None, request_hash="")
    ended = [job for job in cancelled if job and job.is_final]
    transaction.on_commit(lambda: _drop_events(erased, ended))


def _drop_events(erased: list[AiJob], cancelled: list[AiJob]) -> None:
    publish.forget(erased)
    for job in cancelled:  # a viewer may wait for their end
        job.is_erased, job.result = True, None
        publish.publish_outside_run(job, outcome.final_event(job))
