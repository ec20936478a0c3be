"""The sweeper enqueues jobs that Redis or a worker lost, once each."""

import asyncio
import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from jobs import actions
from jobs.backends import connections, queues
from jobs.backends.cancellation import end
from jobs.backends.faults import Faults
from jobs.backends.upstream import Upstream
from jobs.lifecycle import transitions
from jobs.models import AiJob
from jobs.worker import sweeper
from jobs.worker.sweeper import Sweeper
from tests.support import events_of, eventually

FAULTS = Faults()
LONG_AGO = timezone.now() - timedelta(minutes=5)


def entries():
    return queues._queue("interactive").get_job_ids()


@pytest.fixture
def forgetful(engine):
    """A pending job that is missing from its queue."""
    job = engine.submit(enqueued_at=LONG_AGO)
    connections.redis().delete("rq:queue:interactive")
    return job


def test_job_missing_from_its_queue_is_enqueued_again_once(forgetful):
    sweeper.enqueue_forgotten(FAULTS)
    sweeper.enqueue_forgotten(FAULTS)
    assert entries() == [forgetful.rq_id]


def test_job_without_any_trace_in_redis_is_enqueued_again(forgetful):
    connections.redis().delete(f"rq:job:{forgetful.rq_id}")
    sweeper.enqueue_forgotten(FAULTS)
    assert entries() == [forgetful.rq_id]


def test_job_still_in_its_queue_is_left_alone(engine):
    job = engine.submit(enqueued_at=LONG_AGO)
    sweeper.enqueue_forgotten(FAULTS)
    assert entries() == [job.rq_id]
    assert AiJob.objects.get(pk=job.pk).enqueued_at == LONG_AGO


def test_recently_enqueued_job_is_left_alone(engine):
    engine.submit()
    connections.redis().delete("rq:queue:interactive")
    sweeper.enqueue_forgotten(FAULTS)
    assert entries() == []


def test_deferred_job_is_enqueued_when_it_is_due(engine):
    run = transitions.claim(engine.submit().pk, "w")
    connections.redis().delete("rq:queue:interactive")
    transitions.defer(run, transitions.POISONOUS, timedelta(seconds=60))
    sweeper.enqueue_due(FAULTS)
    assert entries() == []
    AiJob.objects.filter(pk=run.pk).update(run_after=timezone.now())
    sweeper.enqueue_due(FAULTS)
    sweeper.enqueue_due(FAULTS)
    assert entries() == [f"{run.pk}-2"]


def paused(engine, count, waits_for, **fields):
    """Pending jobs that wait for a model and are due, oldest first."""
    jobs = [engine.submit() for _ in range(count)]
    for job in jobs:
        queues.forget(job)
    connections.redis().delete("rq:queue:interactive")
    values = {"enqueued_at": None, "error_code": "upstream_paused", "waits_for": waits_for, **fields}
    AiJob.objects.filter(pk__in=[job.pk for job in jobs]).update(**values)
    return [f"{job.pk}-1" for job in jobs]


def test_only_the_oldest_job_runs_while_its_model_is_blocked_and_then_all_in_order(engine):
    ids = paused(engine, 3, "chat")
    [other] = paused(engine, 1, "", error_code="upstream_busy")
    sweeper.enqueue_due(FAULTS, {"chat": True})
    sweeper.enqueue_due(FAULTS, {"chat": True})
    assert entries() == [ids[0], other]
    sweeper.enqueue_due(FAULTS)
    assert entries() == [ids[0], other, *ids[1:]]


def test_a_blocked_model_holds_back_its_own_jobs_only(engine):
    fast = paused(engine, 2, "fast")
    chat = paused(engine, 2, "chat")
    sweeper.enqueue_due(FAULTS, {"fast": True})
    assert entries() == [fast[0], *chat]


def test_the_oldest_due_job_finds_out_although_an_older_one_is_not_due(engine):
    paused(engine, 1, "chat", run_after=timezone.now() + timedelta(hours=1))
    due = paused(engine, 2, "chat")
    sweeper.enqueue_due(FAULTS, {"chat": True})
    assert entries() == [due[0]]


def test_no_job_goes_to_a_model_that_staff_hold_back(engine):
    paused(engine, 2, "chat")
    sweeper.enqueue_due(FAULTS, {"chat": False})
    assert entries() == []


def test_job_that_waited_too_long_fails_readably_and_can_be_repeated(engine, settings):
    paused(engine, 1, "chat", asked_at=LONG_AGO)
    paused(engine, 1, "chat", asked_at=None, created_at=LONG_AGO)
    paused(engine, 1, "chat")
    paused(engine, 1, "", asked_at=LONG_AGO)
    settings.JOBS_MAX_AGE_SECONDS = 60
    sweeper.give_up_waiting(FAULTS)
    failed = list(AiJob.objects.filter(status="failed"))
    assert len(failed) == 2
    for job in failed:
        assert (job.error_code, job.retryable, job.waits_for) == ("upstream_paused", True, "")
        assert "kept" in job.error_message
        assert events_of(job.pk)[-1]["type"] == "job.failed"
        assert job.history[-1]["code"] == "upstream_paused"
    again = actions.retry(failed[0])
    sweeper.give_up_waiting(FAULTS)
    assert AiJob.objects.get(pk=again.pk).status == "pending"


@pytest.mark.parametrize("stranger", [{"queue": "of-another-release"}, {"kind": "of-another-release"}])
def test_job_that_only_another_release_knows_is_left_to_it(engine, caplog, stranger):
    """Enqueued here it would be popped by workers that cannot run it, again and again."""
    strange = engine.submit(enqueued_at=None, **stranger)
    [due] = paused(engine, 1, "")
    sweeper.enqueue_due(FAULTS)
    assert entries() == [due]
    AiJob.objects.filter(pk=strange.pk).update(enqueued_at=LONG_AGO)
    sweeper.enqueue_forgotten(FAULTS)
    assert entries() == [due]
    sweeper.report_strangers()
    assert "of-another-release" in caplog.text
    AiJob.objects.filter(pk=strange.pk).delete()


def test_job_that_cannot_be_enqueued_stops_no_other(engine, monkeypatch):
    ids, faults, enqueue = paused(engine, 3, ""), Faults(), queues.enqueue

    def fail_for_the_first(job):
        if job.rq_id == ids[0]:
            raise KeyError("no such queue")
        return enqueue(job)

    monkeypatch.setattr(queues, "enqueue", fail_for_the_first)
    sweeper.enqueue_due(faults)
    assert entries() == ids[1:]
    assert faults.take() == {"enqueue": 1}


def test_job_that_cannot_be_taken_back_stops_no_other(engine, monkeypatch):
    runs, faults, take_back = [transitions.claim(engine.submit().pk, "lost") for _ in range(3)], Faults(), None
    AiJob.objects.filter(pk__in=[run.pk for run in runs]).update(lease_until=LONG_AGO)
    take_back = transitions.take_back

    def fail_for_the_first(run, is_poisonous):
        job = take_back(run, is_poisonous)
        if run.pk == runs[0].pk:
            raise ValueError("its history cannot be read")
        return job

    monkeypatch.setattr(transitions, "take_back", fail_for_the_first)
    sweeper.take_back_lost(faults)
    assert [AiJob.objects.get(pk=run.pk).status for run in runs] == ["running", "pending", "pending"]
    assert faults.take() == {"take back": 1}


def test_job_of_a_lost_worker_is_enqueued_again_and_its_person_notified(engine):
    run = transitions.claim(engine.submit().pk, "lost")
    connections.redis().delete("rq:queue:interactive")
    AiJob.objects.filter(pk=run.pk).update(lease_until=LONG_AGO)
    sweeper.take_back_lost(FAULTS)
    sweeper.enqueue_due(FAULTS)
    assert [event["type"] for event in events_of(run.pk)] == ["job.retrying"]
    assert entries() == [f"{run.pk}-2"]


async def test_workers_have_time_to_renew_leases_after_postgres_was_down(monkeypatch, settings, resources):
    settings.JOBS_LEASE_SECONDS = 2
    looked = [time.monotonic()]

    def look(faults):
        looked.append(time.monotonic())
        if len(looked) == 2:
            raise OperationalError("the server closed the connection")

    monkeypatch.setattr(sweeper, "take_back_lost", look)
    sweeping = asyncio.create_task(Sweeper(resources.db, Upstream(resources.redis), FAULTS).run())
    await eventually(lambda: len(looked) == 3)
    await end(sweeping)
    assert looked[1] - looked[0] >= 1
    assert looked[2] - looked[1] >= 1


def test_job_whose_person_cancelled_while_its_worker_was_lost_ends(engine):
    run = transitions.claim(engine.submit().pk, "lost")
    transitions.request_cancel(run)
    AiJob.objects.filter(pk=run.pk).update(lease_until=LONG_AGO)
    sweeper.take_back_lost(FAULTS)
    assert AiJob.objects.get(pk=run.pk).status == "cancelled"
    assert [event["type"] for event in events_of(run.pk)] == ["job.cancelled"]


def test_job_that_cannot_be_enqueued_is_tried_in_the_next_round(forgetful, monkeypatch):
    monkeypatch.setattr(queues, "enqueue", lambda job: False)
    sweeper.enqueue_forgotten(FAULTS)
    assert AiJob.objects.get(pk=forgetful.pk).enqueued_at == LONG_AGO


def test_jobs_that_lost_several_workers_run_one_at_a_time(engine):
    first, second, other = engine.submit(), engine.submit(), engine.submit()
    connections.redis().delete("rq:queue:interactive")
    for job in (first, second, other):
        queues.forget(job)
    AiJob.objects.filter(pk__in=[first.pk, second.pk]).update(crashes=2)
    AiJob.objects.update(enqueued_at=None)
    sweeper.enqueue_due(FAULTS)
    assert set(entries()) == {f"{first.pk}-1", f"{other.pk}-1"}
    sweeper.enqueue_due(FAULTS)
    transitions.claim(first.pk, "w")
    sweeper.enqueue_due(FAULTS)
    assert f"{second.pk}-1" not in entries()
    engine.run(other)
    AiJob.objects.filter(pk=first.pk).update(status="failed")
    sweeper.enqueue_due(FAULTS)
    assert f"{second.pk}-1" in entries()


async def test_sweeper_ends_even_if_a_cancellation_is_swallowed(monkeypatch, settings, resources):
    """Before Python 3.12 the Redis client can swallow a cancellation while it sends a command."""
    settings.JOBS_SWEEP_SECONDS = 0
    swallowed, begun = [], asyncio.Event()

    async def swallow():
        begun.set()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            swallowed.append(True)
            if len(swallowed) > 1:
                raise
        return {}

    upstream = Upstream(resources.redis)
    monkeypatch.setattr(upstream, "blocked", swallow)
    sweeping = asyncio.create_task(Sweeper(resources.db, upstream, FAULTS).run())
    await begun.wait()
    async with asyncio.timeout(5):
        await end(sweeping)
    assert swallowed == [True, True] and sweeping.cancelled()
