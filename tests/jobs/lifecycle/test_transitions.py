"""State transitions of jobs: each happens once, and those of overtaken runs change nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from jobs.lifecycle import transitions
from jobs.lifecycle.transitions import Failure, LostRun
from jobs.models import AiJob
from tests.support import take_back_lost

PASSING = Failure("upstream_busy", "busy", "429", retryable=True)
RESULT = {"answer": "yes", "citations": []}


def nothing(job, result):
    pass


def test_only_one_of_many_workers_claims_a_job(engine):
    job = engine.submit()

    def claim(worker):
        try:
            return transitions.claim(job.pk, f"worker-{worker}")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        claims = [run for run in threads.map(claim, range(8)) if run]
    assert len(claims) == 1
    assert claims[0].attempt == 1


def test_deferred_job_is_not_claimed_early(engine):
    job = engine.submit(run_after=timezone.now() + timedelta(seconds=60))
    assert transitions.claim(job.pk, "w") is None


def test_overtaken_run_cannot_complete_the_job(engine):
    late = transitions.claim(engine.submit().pk, "lost")
    transitions.release(late)
    newer = transitions.claim(late.pk, "w")
    with pytest.raises(LostRun):
        transitions.complete(late, RESULT, nothing)
    ended = transitions.complete(newer, RESULT, nothing)
    assert (ended.status, ended.attempt) == ("completed", 2)


@pytest.mark.parametrize(
    "move",
    [
        lambda run: transitions.complete(run, RESULT, nothing),
        lambda run: transitions.fail(run, PASSING),
        lambda run: transitions.defer(run, PASSING, timedelta()),
        transitions.release,
        lambda run: transitions.cancel_run(run, None, nothing),
    ],
)
def test_ended_job_does_not_change_state(engine, move):
    run = transitions.claim(engine.submit().pk, "w")
    transitions.complete(run, RESULT, nothing)
    with pytest.raises(LostRun):
        move(run)
    assert AiJob.objects.get(pk=run.pk).status == "completed"


def test_failing_save_leaves_the_job_unfinished(engine):
    run = transitions.claim(engine.submit().pk, "w")

    def broken(job, result):
        raise ValueError("no room")

    with pytest.raises(ValueError):
        transitions.complete(run, RESULT, broken)
    assert AiJob.objects.get(pk=run.pk).status == "running"


def test_deferred_job_keeps_its_reason(engine):
    run = transitions.claim(engine.submit().pk, "w")
    transitions.defer(run, PASSING, timedelta(seconds=30))
    job = AiJob.objects.get(pk=run.pk)
    assert (job.status, job.failures, job.error_code) == ("pending", 1, "upstream_busy")
    assert timedelta(seconds=30) <= job.run_after - run.started_at < timedelta(seconds=60)


def test_cancelled_job_ends_instead_of_being_deferred(engine):
    run = transitions.claim(engine.submit().pk, "w")
    transitions.request_cancel(run)
    transitions.defer(run, PASSING, timedelta(hours=1))
    assert AiJob.objects.get(pk=run.pk).run_after <= timezone.now()


def test_pending_job_is_cancelled_at_once(engine):
    job = transitions.request_cancel(engine.submit())
    assert job.status == "cancelled"
    assert transitions.claim(job.pk, "w") is None
    assert transitions.request_cancel(job) is None


def test_running_job_is_asked_to_stop(engine):
    run = transitions.claim(engine.submit().pk, "w")
    assert transitions.request_cancel(run).status == "running"
    assert transitions.current([run])[run.pk].cancel_requested


def test_current_attempt_is_told(engine):
    run = transitions.claim(engine.submit().pk, "w")
    transitions.release(run)
    assert transitions.current([run]) == {}
    transitions.claim(run.pk, "other")
    assert transitions.current([run])[run.pk].attempt == 2


def test_retry_resets_a_failed_or_cancelled_job_only(engine):
    run = transitions.claim(engine.submit().pk, "w")
    assert transitions.retry(run) is None
    failed = transitions.fail(run, PASSING)
    job = transitions.retry(failed)
    assert (job.status, job.error_code, job.failures, job.finished_at) == ("pending", "", 0, None)
    assert transitions.claim(job.pk, "w").attempt == 2


def test_retry_is_refused_while_its_subject_is_busy(engine):
    failed = transitions.fail(transitions.claim(engine.submit(subject="s").pk, "w"), PASSING)
    engine.submit(subject="s")
    with pytest.raises(IntegrityError):
        transitions.retry(failed)


def test_lost_run_is_reclaimed_when_its_lease_expires(engine):
    run = transitions.claim(engine.submit().pk, "w")
    assert take_back_lost() == []
    AiJob.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    [job] = take_back_lost()
    assert (job.status, job.crashes) == ("pending", 1)


def test_job_that_loses_two_workers_is_failed_as_poisonous(engine):
    job = engine.submit()
    for _ in range(2):
        transitions.claim(job.pk, "w")
        AiJob.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        [job] = take_back_lost()
    assert (job.status, job.error_code) == ("failed", "poisonous")
    assert job.error_message


def lose(*jobs, worker="w"):
    """Claim these jobs for one worker and let their leases expire; returns the reclaimed rows."""
    for job in jobs:
        assert transitions.claim(job.pk, worker)
    pks = [job.pk for job in jobs]
    AiJob.objects.filter(pk__in=pks).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert {job.pk for job in take_back_lost()} == set(pks)
    return [AiJob.objects.get(pk=pk) for pk in pks]


def test_jobs_lost_with_the_same_worker_are_not_all_poisonous(engine):
    poison, *others = [engine.submit() for _ in range(3)]
    lose(poison, *others)
    assert {(job.status, job.crashes) for job in lose(poison, *others)} == {("pending", 2)}
    fresh = engine.submit()
    poison, fresh = lose(poison, fresh)
    assert (poison.status, poison.error_code) == ("failed", "poisonous")
    assert (fresh.status, fresh.crashes) == ("pending", 1)
    assert {AiJob.objects.get(pk=job.pk).status for job in others} == {"pending"}


def test_jobs_of_one_worker_are_reclaimed_together(engine):
    """The leases of the jobs claimed last have some seconds left."""
    old, new, elsewhere = [engine.submit() for _ in range(3)]
    for job, worker in ((old, "w"), (new, "w"), (elsewhere, "x")):
        transitions.claim(job.pk, worker)
    AiJob.objects.filter(pk=old.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    AiJob.objects.exclude(pk=old.pk).update(lease_until=timezone.now() + timedelta(seconds=1))
    assert {job.pk for job in take_back_lost()} == {old.pk, new.pk}


def test_renewed_lease_keeps_its_job_while_an_expired_one_is_reclaimed(engine):
    forgotten, renewed = engine.submit(), engine.submit()
    transitions.claim(forgotten.pk, "w")
    run = transitions.claim(renewed.pk, "w")
    AiJob.objects.filter(pk=forgotten.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert transitions.renew_leases([run]) == []
    assert [job.pk for job in take_back_lost()] == [forgotten.pk]


def test_lease_of_a_run_is_renewed_by_its_own_attempt_only(engine):
    overtaken = transitions.claim(engine.submit().pk, "w")
    transitions.release(overtaken)
    run = transitions.claim(overtaken.pk, "w")
    assert transitions.renew_leases([overtaken]) == [overtaken]
    assert AiJob.objects.get(pk=run.pk).lease_until == run.lease_until
    assert transitions.renew_leases([run]) == []
    assert AiJob.objects.get(pk=run.pk).lease_until > run.lease_until
