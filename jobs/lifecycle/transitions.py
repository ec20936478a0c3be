"""The only module that moves a job from one state to another.

Every move is one guarded UPDATE: it names the state (and for a run, the attempt) it starts from, so that of
two processes that try, one succeeds and the other learns that it came too late. Plain synchronous functions;
workers call them on their database threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Value, When

from config.sql import CLOCK, execute
from jobs import kinds
from jobs.lifecycle import history, sql
from jobs.lifecycle.history import Move
from jobs.lifecycle.sql import Attempt
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
    `is_free`: the attempt only paused, and does not count as one of the tries. `waits_for`: the model whose circuit
    breaker held it back.
    `paid`: attempts so far whose answer was paid for and could not be used; the history keeps the number.
    """

    code: str
    message: str
    detail: str = ""
    retryable: bool = False
    tries: int = 1000
    is_free: bool = False
    waits_for: str = ""
    paid: int = 0


POISONOUS = Failure(
    "poisonous",
    "This request could not be processed and was stopped. Please contact support.",
    "Workers were lost while running this job, again and again, so it was not given to another.",
)


GIVEN_UP = Failure(
    "upstream_paused",
    "The AI service has had trouble for too long. Your question is kept: please try again later.",
    "It waited for longer than JOBS_MAX_AGE_SECONDS.",
    retryable=True,
)
LOCK_SECONDS = 1  # for which taking jobs back waits for a table that somebody has locked


def claim(job_id: UUID, worker: str) -> AiJob | None:
    """Claim a due pending job for one attempt.

    None when another worker was first, when nothing is left to do, or when this process does not know its kind: then
    it is left to a worker that does, as there is one while a new release is rolled out.
    """
    return sql.claim(job_id, worker, kinds.names(), settings.JOBS_LEASE_SECONDS)


def renew_leases(runs: Iterable[AiJob], *, wait: bool = False) -> list[AiJob]:
    """Extend the leases of these attempts. Returns those that still run and were not extended.

    Their rows are locked by another transaction; with `wait` those are waited for.
    """
    by_attempt = {attempt_of(run): run for run in runs}
    for attempt in sql.renew(by_attempt.keys(), settings.JOBS_LEASE_SECONDS, wait=wait):
        del by_attempt[attempt]
    return list(by_attempt.values())


def current(runs: Iterable[AiJob]) -> dict[UUID, AiJob]:
    """The rows of these jobs that are running, with `attempt`, `cancel_requested` and `is_erased` only."""
    rows = AiJob.objects.filter(pk__in=[run.pk for run in runs], status=Status.RUNNING)
    return {row.pk: row for row in rows.only("attempt", "cancel_requested", "is_erased")}


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


def defer(run: AiJob, failure: Failure, delay: timedelta) -> None:
    """Put the job back after a passing failure; it runs again after `delay`."""
    # A job cancelled meanwhile is due at once: its next attempt ends it before any upstream call.
    due = Case(When(cancel_requested=True, then=CLOCK), default=CLOCK + Value(delay))
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
    _move(run, history.of_run(run, "released"), status=Status.PENDING, run_after=CLOCK, **_NO_REASONS)


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
            **begun, status=Status.PENDING, run_after=CLOCK, asked_at=CLOCK, failures=0, crashes=0
        )
        return AiJob.objects.get(pk=job.pk)


def give_up(job: AiJob) -> AiJob | None:
    """Fail a job that has waited too long for the upstream. None if it is no longer waiting."""
    move = history.of_waiting(job, Status.FAILED, GIVEN_UP.code)
    waiting = AiJob.objects.filter(pk=job.pk, attempt=job.attempt, status=Status.PENDING, cancel_requested=False)
    ended = {"status": Status.FAILED, "finished_at": CLOCK, "run_after": None, "enqueued_at": None}
    if not waiting.update(**ended, **_reasons(GIVEN_UP), **history.added(move)):
        return None
    return AiJob.objects.get(pk=job.pk)


def lost() -> list[tuple[AiJob, bool]]:
    """The running jobs of workers whose leases ran out, all jobs of a worker together; locked by this transaction.

    Of jobs that were lost together, one that had been lost more often than all the others is to blame: with True.
    OperationalError while somebody has locked the table: then the workers cannot renew their leases either.
    """
    execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    execute("LOCK TABLE jobs_aijob IN ROW EXCLUSIVE MODE")  # as each renewal does
    running = AiJob.objects.filter(status=Status.RUNNING)
    workers = list(running.filter(lease_until__lt=CLOCK).values_list("worker", flat=True).distinct())
    # A live worker renews all its leases twice as often as this.
    soon = CLOCK + Value(timedelta(seconds=settings.JOBS_LEASE_SECONDS / 2))
    expired = running.filter(worker__in=workers, lease_until__lt=soon).defer("payload", "result")
    runs = list(expired.select_for_update(skip_locked=True, no_key=True))
    return [(run, _is_to_blame(run, runs)) for run in runs]


def take_back(run: AiJob, is_poisonous: bool) -> AiJob:
    """Take a running job back from a lost worker: put it back, or end it if it was cancelled or is poisonous."""
    crashes = run.crashes + 1
    if run.cancel_requested:
        move, reasons = history.of_run(run, Status.CANCELLED), _NO_REASONS
        _move(run, move, crashes=crashes, status=Status.CANCELLED, finished_at=CLOCK, **reasons)
    elif is_poisonous:
        move = history.of_run(run, Status.FAILED, POISONOUS.code, POISONOUS.detail)
        _move(run, move, crashes=crashes, status=Status.FAILED, finished_at=CLOCK, **_reasons(POISONOUS))
    else:
        move = history.of_run(run, "lost")
        _move(run, move, crashes=crashes, status=Status.PENDING, run_after=CLOCK, **_NO_REASONS)
    return AiJob.objects.get(pk=run.pk)


def note_enqueued(jobs: Iterable[AiJob]) -> None:
    """Note that the next runs of these pending jobs were put into their queues just now."""
    sql.mark_enqueued([attempt_of(job) for job in jobs])


def attempt_of(run: AiJob) -> Attempt:
    """What fences the writes of this attempt."""
    return Attempt(run.pk, run.attempt)


def _is_to_blame(run: AiJob, lost: list[AiJob]) -> bool:
    others = (other.crashes for other in lost if other.worker == run.worker and other.pk != run.pk)
    return run.crashes > max(others, default=0)


def _cancelled_in_waiting(job: AiJob) -> dict[str, Any]:
    return {
        "status": Status.CANCELLED,
        "finished_at": CLOCK,
        "run_after": None,
        **_NO_REASONS,
        **history.added(history.of_waiting(job, Status.CANCELLED)),
    }


_ENDED_BADLY = (Status.FAILED, Status.CANCELLED)
_NO_REASONS: dict[str, Any] = {
    "error_code": "",
    "error_message": "",
    "error_detail": "",
    "retryable": False,
    "waits_for": "",
}
_UNENDED: dict[str, Any] = {
    "enqueued_at": None,
    "cancel_requested": False,
    "finished_at": None,
    "result": None,
    **_NO_REASONS,
}


def _move(run: AiJob, move: Move, **changes: Any) -> None:
    """Move a running job out of this attempt, fenced by the attempt's number."""
    changes = {"lease_until": None, "enqueued_at": None, **history.added(move), **changes}
    if not AiJob.objects.filter(pk=run.pk, attempt=run.attempt, status=Status.RUNNING).update(**changes):
        raise _lost(run)


def _end(run: AiJob, move: Move, save: Save | None, **changes: Any) -> AiJob:
    ended = copy(run)
    for name, value in {**_NO_REASONS, **changes, "run_after": None}.items():
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
        "waits_for": failure.waits_for,
    }
