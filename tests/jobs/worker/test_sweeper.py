"""The sweeper enqueues jobs that Redis or a worker lost, once each."""

import asyncio
import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from jobs.backends import connections, queues
from jobs.backends.cancellation import end
from jobs.backends.upstream import Upstream
from jobs.lifecycle import transitions
from jobs.models import AiJob
from jobs.worker import sweeper
from jobs.worker.sweeper import Sweeper
from tests.support import events_of, eventually

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
    sweeper.enqueue_forgotten()
    sweeper.enqueue_forgotten()
    assert entries() == [forgetful.rq_id]


def test_job_without_any_trace_in_redis_is_enqueued_again(forgetful):
    connections.redis().delete(f"rq:job:{forgetful.rq_id}")
    sweeper.enqueue_forgotten()
    assert entries() == [forgetful.rq_id]


def test_job_still_in_its_queue_is_left_alone(engine):
    job = engine.submit(enqueued_at=LONG_AGO)
    sweeper.enqueue_forgotten()
    assert entries() == [job.rq_id]
    assert AiJob.objects.get(pk=job.pk).enqueued_at == LONG_AGO


def test_recently_enqueued_job_is_left_alone(engine):
    engine.submit()
    connections.redis().delete("rq:queue:interactive")
    sweeper.enqueue_forgotten()
    assert entries() == []


def test_deferred_job_is_enqueued_when_it_is_due(engine):
    run = transitions.claim(engine.submit().pk, "w")
    connections.redis().delete("rq:queue:interactive")
    transitions.defer(run, transitions.POISONOUS, timezone.now() + timedelta(seconds=60))
    sweeper.enqueue_due()
    assert entries() == []
    AiJob.objects.filter(pk=run.pk).update(run_after=timezone.now())
    sweeper.enqueue_due()
    sweeper.enqueue_due()
    assert entries() == [f"{run.pk}-2"]


def test_only_the_oldest_job_runs_while_the_upstream_is_paused_and_then_all_in_order(engine):
    ids = [engine.submit().pk for _ in range(3)]
    AiJob.objects.filter(pk__in=ids).update(enqueued_at=None, error_code="upstream_paused")
    other = engine.submit()
    AiJob.objects.filter(pk=other.pk).update(enqueued_at=None, error_code="upstream_busy")
    for job in AiJob.objects.all():
        queues.forget(job)
    connections.redis().delete("rq:queue:interactive")
    sweeper.enqueue_due(is_paused=True)
    sweeper.enqueue_due(is_paused=True)
    assert entries() == [f"{ids[0]}-1", f"{other.pk}-1"]
    sweeper.enqueue_due()
    assert entries() == [f"{pk}-1" for pk in (ids[0], other.pk, *ids[1:])]


def test_job_of_a_lost_worker_is_enqueued_again_and_its_person_notified(engine):
    run = transitions.claim(engine.submit().pk, "lost")
    connections.redis().delete("rq:queue:interactive")
    AiJob.objects.filter(pk=run.pk).update(lease_until=LONG_AGO)
    sweeper.take_back_lost()
    sweeper.enqueue_due()
    assert [event["type"] for event in events_of(run.pk)] == ["job.retrying"]
    assert entries() == [f"{run.pk}-2"]


async def test_workers_have_time_to_renew_leases_after_postgres_was_down(monkeypatch, settings, resources):
    settings.JOBS_LEASE_SECONDS = 2
    looked = [time.monotonic()]

    def look():
        looked.append(time.monotonic())
        if len(looked) == 2:
            raise OperationalError("the server closed the connection")

    monkeypatch.setattr(sweeper, "take_back_lost", look)
    sweeping = asyncio.create_task(Sweeper(resources.db, Upstream(resources.redis)).run())
    await eventually(lambda: len(looked) == 3)
    await end(sweeping)
    assert looked[1] - looked[0] >= 1
    assert looked[2] - looked[1] >= 1


def test_job_whose_person_cancelled_while_its_worker_was_lost_ends(engine):
    run = transitions.claim(engine.submit().pk, "lost")
    transitions.request_cancel(run)
    AiJob.objects.filter(pk=run.pk).update(lease_until=LONG_AGO)
    sweeper.take_back_lost()
    assert AiJob.objects.get(pk=run.pk).status == "cancelled"
    assert [event["type"] for event in events_of(run.pk)] == ["job.cancelled"]


def test_job_that_cannot_be_enqueued_is_tried_in_the_next_round(forgetful, monkeypatch):
    monkeypatch.setattr(queues, "enqueue", lambda job: False)
    sweeper.enqueue_forgotten()
    assert AiJob.objects.get(pk=forgetful.pk).enqueued_at == LONG_AGO


def test_jobs_that_lost_several_workers_run_one_at_a_time(engine):
    first, second, other = engine.submit(), engine.submit(), engine.submit()
    connections.redis().delete("rq:queue:interactive")
    for job in (first, second, other):
        queues.forget(job)
    AiJob.objects.filter(pk__in=[first.pk, second.pk]).update(crashes=2)
    AiJob.objects.update(enqueued_at=None)
    sweeper.enqueue_due()
    assert set(entries()) == {f"{first.pk}-1", f"{other.pk}-1"}
    sweeper.enqueue_due()
    transitions.claim(first.pk, "w")
    sweeper.enqueue_due()
    assert f"{second.pk}-1" not in entries()
    engine.run(other)
    AiJob.objects.filter(pk=first.pk).update(status="failed")
    sweeper.enqueue_due()
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
        return False

    upstream = Upstream(resources.redis)
    monkeypatch.setattr(upstream, "is_paused", swallow)
    sweeping = asyncio.create_task(Sweeper(resources.db, upstream).run())
    await begun.wait()
    async with asyncio.timeout(5):
        await end(sweeping)
    assert swallowed == [True, True] and sweeping.cancelled()
