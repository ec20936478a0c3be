"""The only module that moves a job from one state to another.

Every move is one guarded UPDATE: it names the state (and for a run, the attempt) it starts from, so that of
two processes that try, one succeeds and the other learns that it came too late. Plain synchronous functions;
workers call them on their database threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Value, When
from django.utils import timezone

from jobs.lifecycle import history, sql
from jobs.lifecycle.history import Move
from jobs.models import AiJob

Status = AiJob.Status
Save = Callable[[AiJob, dict[str, Any]], dict[str, Any] | None]

QUARANTINED = 2  # lost workers after which a job runs alone, to tell it from jobs that were lost with it


class LostRun(Exception):
    """The attempt is no longer the job's current one: it must stop, write nothing and publish nothing."""


@dataclass(frozen=True)
class Failure:
    """Why an attempt or a job failed: a code, a text for the person, a detail for staff.

    `retryable`: trying again may help, up to `tries` times in all (fewer if the job allows fewer).
    `is_free`: the attempt only paused, and does not count as one of the tries.
    `paid`: attempts so far whose answer was paid for and could not be used; the history keeps the number.
    """

    code: str
    message: str
    detail: str = ""
    retryable: bool = False
    tries: int = 1000
    is_free: bool = False
    paid: int = 0


POISONOUS = Failure(
    "poisonous",
    "This request could not be processed and was stopped. Please contact support.",
    "Workers were lost while running this job, again and again, so it was not given to another.",
)


def claim(job_id: UUID, worker: str) -> AiJob | None:
    """Claim a due pending job for one attempt. None when another worker was first, or nothing is left to do."""
    now = timezone.now()
    return sql.claim(job_id, worker, now, now + timedelta(seconds=settings.JOBS_LEASE_SECONDS))


def renew_leases(worker: str, runs: Iterable[AiJob]) -> None:
    """Extend the leases of this worker's attempts that are still running."""
    until = timezone.now() + timedelta(seconds=settings.JOBS_LEASE_SECONDS)
    ids = [run.pk for run in runs]
    AiJob.objects.filter(pk__in=ids, worker=worker, status=Status.RUNNING).update(lease_until=until)


def interrupted(runs: Iterable[AiJob]) -> list[AiJob]:
    """Those of these attempts that must stop, because they were cancelled or because the job was taken from them.

    A cancelled one has `cancel_requested` set.
    """
    watched = {run.pk: run for run in runs}
    rows = AiJob.objects.filter(pk__in=list(watched), status=Status.RUNNING)
    for pk, attempt, cancel_requested in rows.values_list("pk", "attempt", "cancel_requested"):
        if attempt == watched[pk].attempt:
            watched[pk].cancel_requested = cancel_requested
            if not cancel_requested:
                del watched[pk]
    return list(watched.values())


def complete(run: AiJob, result: dict[str, Any], save: Save) -> AiJob:
    """Complete the job and save its result, in one transaction. LostRun when another attempt owns the job."""
    return _end(run, history.of_run(run, Status.COMPLETED), save, status=Status.COMPLETED, result=result)


def cancel_run(run: AiJob, partial: dict[str, Any] | None, save: Save) -> AiJob:
    """End a running job that its person cancelled, keeping what was already shown."""
    return _end(run, history.of_run(run, Status.CANCELLED), save, status=Status.CANCELLED, result=partial)


def fail(run: AiJob, failure: Failure) -> AiJob:
    """Fail the job."""
    move = history.of_run(run, Status.FAILED, failure.code, failure.detail)
    return _end(run, move, None, status=Status.FAILED, result=None, **_reasons(failure))


def defer(run: AiJob, failure: Failure, run_after: datetime) -> None:
    """Put the job back after a passing failure; it runs again at `run_after`."""
    # A job cancelled meanwhile is due at once: its next attempt ends it before any upstream call.
    due = Case(When(cancel_requested=True, then=Value(timezone.now())), default=Value(run_after))
    move = history.of_run(run, "deferred", failure.code, failure.detail)
    if failure.paid:
        move["paid"] = failure.paid
    _move(
        run,
        move,
        status=Status.PENDING,
        run_after=due,
        failures=F("failures") + int(not failure.is_free),
        **_reasons(failure),
    )


def release(run: AiJob) -> None:
    """Hand an unfinished job back, for another worker to continue at once. It does not count as a failure."""
    _move(run, history.of_run(run, "released"), status=Status.PENDING, run_after=timezone.now())


def request_cancel(job: AiJob) -> AiJob | None:
    """Cancel a pending job at once, or ask the worker of a running one to stop. None if it has ended already."""
    with transaction.atomic():
        active = AiJob.objects.select_for_update(no_key=True).filter(pk=job.pk, status__in=AiJob.ACTIVE).first()
        if active is None:
            return None
        changes = {} if active.status == Status.RUNNING else _cancelled_in_waiting(active)
        AiJob.objects.filter(pk=job.pk).update(cancel_requested=True, **changes)
        return AiJob.objects.get(pk=job.pk)


def retry(job: AiJob, admit: Callable[[], None] = lambda: None) -> AiJob | None:
    """Put a failed or cancelled job back in the queue. None if its state forbids it.

    Raises IntegrityError when another job of the same subject is active, and what `admit` raises.
    """
    with transaction.atomic():
        badly_ended = AiJob.objects.filter(status__in=_ENDED_BADLY, is_erased=False)
        ended = badly_ended.select_for_update(no_key=True).filter(pk=job.pk).first()
        if ended is None:
            return None
        admit()
        begun = _UNENDED | history.added(history.of_retried(ended))
        AiJob.objects.filter(pk=job.pk).update(
            **begun, status=Status.PENDING, run_after=timezone.now(), failures=0, crashes=0
        )
        return AiJob.objects.get(pk=job.pk)


def take_back_lost() -> list[AiJob]:
    """Take running jobs back from workers whose leases ran out, all jobs of a worker together.

    Of jobs that were lost together, one that had been lost more often than all the others is failed as poisonous.
    """
    now = timezone.now()
    with transaction.atomic():
        running = AiJob.objects.filter(status=Status.RUNNING)
        workers = list(running.filter(lease_until__lt=now).values_list("worker", flat=True).distinct())
        # A live worker renews all its leases twice as often as this.
        soon = now + timedelta(seconds=settings.JOBS_LEASE_SECONDS / 2)
        lost = list(running.select_for_update(skip_locked=True).filter(worker__in=workers, lease_until__lt=soon))
        return [_take_back(run, _is_to_blame(run, lost)) for run in lost]


def _is_to_blame(run: AiJob, lost: list[AiJob]) -> bool:
    others = (other.crashes for other in lost if other.worker == run.worker and other.pk != run.pk)
    return run.crashes > max(others, default=0)


def _take_back(run: AiJob, is_poisonous: bool) -> AiJob:
    crashes, now = run.crashes + 1, timezone.now()
    if run.cancel_requested:
        move = history.of_run(run, Status.CANCELLED)
        _move(run, move, crashes=crashes, status=Status.CANCELLED, finished_at=now)
    elif is_poisonous:
        move = history.of_run(run, Status.FAILED, POISONOUS.code, POISONOUS.detail)
        _move(run, move, crashes=crashes, status=Status.FAILED, finished_at=now, **_reasons(POISONOUS))
    else:
        _move(run, history.of_run(run, "lost"), crashes=crashes, status=Status.PENDING, run_after=now)
    return AiJob.objects.get(pk=run.pk)


def _cancelled_in_waiting(job: AiJob) -> dict[str, Any]:
    return {
        "status": Status.CANCELLED,
        "finished_at": timezone.now(),
        "run_after": None,
        **history.added(history.of_cancelled(job)),
    }


_ENDED_BADLY = (Status.FAILED, Status.CANCELLED)
_UNENDED: dict[str, Any] = {
    "enqueued_at": None,
    "cancel_requested": False,
    "finished_at": None,
    "error_code": "",
    "error_message": "",
    "error_detail": "",
    "retryable": False,
    "result": None,
}


def _move(run: AiJob, move: Move, **changes: Any) -> None:
    """Move a running job out of this attempt, fenced by the attempt's number."""
    changes = {"lease_until": None, "enqueued_at": None, **history.added(move), **changes}
    if not AiJob.objects.filter(pk=run.pk, attempt=run.attempt, status=Status.RUNNING).update(**changes):
        raise _lost(run)


def _end(run: AiJob, move: Move, save: Save | None, **changes: Any) -> AiJob:
    ended = copy(run)
    for name, value in {**changes, "finished_at": timezone.now(), "run_after": None}.items():
        setattr(ended, name, value)
    with transaction.atomic():
        is_erased = sql.end(ended, move)
        if is_erased is None:
            raise _lost(run)
        if is_erased:
            ended.result, ended.is_erased = None, True
        elif save and ended.result:
            kept = save(ended, ended.result)
            if kept is not None:
                ended.result = kept
                AiJob.objects.filter(pk=run.pk).update(result=kept)
    return ended


def _lost(run: AiJob) -> LostRun:
    return LostRun(f"job {run.pk} attempt {run.attempt}")


def _reasons(failure: Failure) -> dict[str, Any]:
    return {
        "error_code": failure.code,
        "error_message": failure.message,
        "error_detail": failure.detail,
        "retryable": failure.retryable,
    }
