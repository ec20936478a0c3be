"""What a worker's jobs survive: locked tables and rows, clocks that are off, workers of another release, dead tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from jobs.backends import connections, queues
from jobs.backends.cancellation import end
from jobs.backends.faults import Faults
from jobs.events import publish
from jobs.events.schema import Delta
from jobs.lifecycle import transitions
from jobs.models import AiJob, Total
from jobs.monitoring import checks, totals
from jobs.tasks import run_job
from jobs.worker import sweeper
from jobs.worker.runtime import Runtime
from tests.jobs.worker.test_worker import ask, is_streaming, status
from tests.support import database, events_of, eventually, take_back_lost, wait_for

AHEAD = timedelta(seconds=25)


@contextlib.contextmanager
def locked(statement: str) -> Iterator[psycopg.Connection]:
    """Run a statement that locks something, and hold the lock until the block ends."""
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: parameters[name] for name in names if parameters.get(name)}) as other:
        other.execute(statement)
        yield other
        other.rollback()


def are_expired(other: psycopg.Connection, jobs: list[str]) -> bool:
    """Whether the leases of these jobs have been over for a second."""
    query = "SELECT bool_and(lease_until < clock_timestamp() - interval '1 second') FROM jobs_aijob WHERE id = ANY(%s)"
    return bool(other.execute(query, [jobs]).fetchone()[0])


@pytest.mark.parametrize(
    "statement",
    [
        "LOCK TABLE jobs_aijob IN SHARE MODE",  # as CREATE INDEX does
        "LOCK TABLE jobs_aijob IN ACCESS EXCLUSIVE MODE",
        "SELECT FROM jobs_aijob WHERE status = 'running' FOR UPDATE",
    ],
)
def test_no_run_of_a_live_worker_is_lost_to_a_lock(platform, learner, sql_course, simulator, statement):
    simulator.set(answer_tokens=160, token_interval=0.05)
    with platform.worker(), platform.worker():
        jobs = [ask(platform, learner, sql_course) for _ in range(4)]
        wait_for(lambda: all(status(job) == "running" for job in jobs))
        wait_for(lambda: any(is_streaming(job, simulator) for job in jobs))
        with locked(statement) as other:
            wait_for(lambda: are_expired(other, jobs))
        wait_for(lambda: all(status(job) == "completed" for job in jobs), 40)
    assert {(job.attempt, job.crashes) for job in AiJob.objects.filter(pk__in=jobs)} == {(1, 0)}


def test_one_locked_row_keeps_no_other_lease_from_being_renewed(engine):
    free, held = (transitions.claim(engine.submit().pk, "w") for _ in range(2))
    with locked(f"SELECT FROM jobs_aijob WHERE id = '{held.pk}' FOR UPDATE"):
        assert transitions.renew_leases([free, held]) == [held]
        assert AiJob.objects.get(pk=free.pk).lease_until > free.lease_until


@pytest.fixture
def fast_clock(monkeypatch):
    """The clock of this host is ahead of Postgres'."""
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + AHEAD)


def test_host_whose_clock_is_ahead_takes_no_live_job_away(engine, fast_clock):
    run = transitions.claim(engine.submit().pk, "w")
    assert take_back_lost() == []
    assert run.lease_until - database_time() < timedelta(seconds=django_settings.JOBS_LEASE_SECONDS + 1)
    transitions.renew_leases([run])
    assert AiJob.objects.get(pk=run.pk).lease_until - database_time() < AHEAD


def test_job_submitted_by_a_host_whose_clock_is_ahead_is_due_at_once(engine, fast_clock):
    job = engine.submit()
    assert job.run_after <= database_time()
    assert transitions.claim(job.pk, "w")


def test_job_deferred_or_retried_by_a_host_whose_clock_is_ahead_is_due_as_asked(engine, fast_clock):
    run = transitions.claim(engine.submit().pk, "w")
    transitions.defer(run, transitions.POISONOUS, timedelta(seconds=5))
    assert AiJob.objects.get(pk=run.pk).run_after - database_time() <= timedelta(seconds=5)
    transitions.request_cancel(run)
    assert transitions.retry(run).run_after <= database_time()
    assert transitions.claim(run.pk, "w")


def test_times_of_an_attempt_are_right_on_a_host_whose_clock_is_ahead(engine, fast_clock):
    run = transitions.claim(engine.submit().pk, "w")
    move = transitions.complete(run, {}, lambda job, result: None)
    assert AiJob.objects.get(pk=move.pk).history[0]["ran"] < AHEAD.total_seconds()


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def test_job_of_an_unknown_kind_is_left_to_a_worker_that_knows_it(engine, platform, learner, sql_course):
    """A rolling upgrade: the worker process does not know the kind that this process has registered."""
    job = engine.submit()
    with platform.worker():
        known = ask(platform, learner, sql_course)
        wait_for(lambda: status(known) == "completed")
        wait_for(lambda: f"rq:job:{job.rq_id}" not in map(bytes.decode, connections.redis().keys("rq:job:*")))
    row = AiJob.objects.get(pk=job.pk)
    assert (row.status, row.attempt, row.crashes, row.history) == ("pending", 0, 0, [])
    assert engine.run(job).status == "completed"


async def test_job_claimed_after_the_hand_back_is_handed_back_too(engine):
    runtime, job = Runtime(), await database.call(engine.submit)
    runtime.leases.hand_back()
    try:
        await run_job(str(job.pk), runtime)
    finally:
        await runtime.close()
    row = await AiJob.objects.aget(pk=job.pk)
    assert (row.status, row.crashes, [move["outcome"] for move in row.history]) == ("pending", 0, ["released"])


async def test_two_attempts_of_a_job_in_one_process_do_not_stop_each_other(engine):
    began, go_on = asyncio.Event(), asyncio.Event()

    async def wait(run):
        began.set()
        await go_on.wait()
        return {"answer": str(run.job.attempt)}

    engine.work(wait)
    runtime, job = Runtime(), await database.call(engine.submit)
    first = asyncio.create_task(run_job(str(job.pk), runtime))
    await began.wait()
    # The first attempt has lost its job, and the second one runs in the same process.
    await AiJob.objects.filter(pk=job.pk).aupdate(lease_until=timezone.now() - timedelta(minutes=1))
    await database.call(sweeper.take_back_lost, runtime.faults)
    began.clear()
    second = asyncio.create_task(run_job(str(job.pk), runtime))
    await began.wait()
    await asyncio.wait_for(first, 10)  # it was interrupted
    go_on.set()
    await second
    await runtime.close()
    row = await AiJob.objects.aget(pk=job.pk)
    assert (row.status, row.attempt, row.result["answer"]) == ("completed", 2, "2")


async def test_worker_whose_background_task_ends_is_replaced(platform, learner, sql_course, simulator):
    simulator.set(token_interval=0.2)
    with platform.worker("--worker-class", "tests.jobs.worker.quitting.Worker") as process:
        job = await database.call(ask, platform, learner, sql_course)
        await eventually(lambda: process.poll() is not None)
        assert process.returncode == 1
    row = await AiJob.objects.aget(pk=job)
    assert (row.status, row.crashes) == ("pending", 0)


async def test_leases_outlive_a_failure_of_any_kind(engine, monkeypatch):
    current, failures = transitions.current, []

    def fail_once(runs):
        if not failures:
            failures.append(1)
            raise TypeError("a row that nobody foresaw")
        return current(runs)

    monkeypatch.setattr(transitions, "current", fail_once)
    began = asyncio.Event()

    async def wait(run):
        began.set()
        await asyncio.sleep(60)

    engine.work(wait)
    runtime, job = Runtime(), await database.call(engine.submit)
    running = asyncio.create_task(run_job(str(job.pk), runtime))
    await began.wait()
    await eventually(lambda: failures)
    await database.call(transitions.request_cancel, job)
    await asyncio.wait_for(running, 10)
    assert (await AiJob.objects.aget(pk=job.pk)).status == "cancelled"
    assert runtime.faults.take() == {"leases": 1}
    await runtime.close()


def test_failures_of_background_tasks_are_counted_once():
    faults = Faults()
    faults.note("enqueue", KeyError("no such queue"))
    before = totals_of("enqueue")
    totals.count_faults(faults)
    assert totals_of("enqueue") == before + 1
    assert faults.take() == {}


def totals_of(task: str) -> float:
    rows = Total.objects.filter(name="background_failures", labels=[task])
    return sum(rows.values_list("value", flat=True))


async def test_sweeper_goes_on_after_a_step_that_fails(engine, monkeypatch, resources):
    def fail(*args):
        raise TypeError("a row that nobody foresaw")

    monkeypatch.setattr(sweeper, "take_back_lost", fail)
    faults = Faults()
    job = await database.call(lambda: engine.submit(enqueued_at=None))
    await database.call(queues.forget, job)
    await database.call(connections.redis().delete, "rq:queue:interactive")
    sweeping = asyncio.create_task(sweeper.Sweeper(resources.db, sweeper.Upstream(resources.redis), faults).run())
    await eventually(lambda: job.rq_id in queues._queue("interactive").get_job_ids(), 30)
    await eventually(faults.take)
    await end(sweeping)


def test_age_of_the_last_sweep_is_told(monkeypatch):
    totals.note_sweep()
    assert totals.sweep_age() < 60
    assert checks.is_swept()
    monkeypatch.setattr(checks, "SWEEP_SECONDS", -django_settings.JOBS_SWEEP_SECONDS)
    assert not checks.is_swept()
    Total.objects.filter(name=totals.SWEPT_AT).delete()
    assert totals.sweep_age() is None and not checks.is_swept()


def test_nothing_of_a_lost_attempt_stays_once_its_text_was_deleted(engine):
    run = transitions.claim(engine.submit().pk, "lost")
    publish.publish_outside_run(run, Delta(text="a secret"))
    AiJob.objects.filter(pk=run.pk).update(
        is_erased=True, cancel_requested=True, lease_until=timezone.now() - timedelta(minutes=1)
    )
    assert "a secret" in str(events_of(run.pk))
    sweeper.take_back_lost(Faults())
    assert events_of(run.pk) == []


def test_completed_job_keeps_no_error_of_an_earlier_attempt(engine):
    failure = transitions.Failure("upstream_busy", "busy", "429", retryable=True, waits_for="chat")
    for end_it in (
        lambda run: transitions.complete(run, {"answer": "yes"}, lambda job, result: None),
        lambda run: transitions.cancel_run(run, None, lambda job, result: None),
    ):
        run = transitions.claim(engine.submit().pk, "w")
        transitions.defer(run, failure, timedelta())
        ended = end_it(transitions.claim(run.pk, "w"))
        for job in (ended, AiJob.objects.get(pk=run.pk)):
            assert (job.error_code, job.error_message, job.error_detail, job.waits_for) == ("", "", "", "")
            assert not job.retryable
    run = transitions.claim(engine.submit().pk, "w")
    transitions.defer(run, failure, timedelta())
    assert transitions.request_cancel(run).error_code == ""
