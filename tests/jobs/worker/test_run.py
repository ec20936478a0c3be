"""One run of a job: how its outcome follows from its work."""

import asyncio
import contextlib
import re
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from pydantic import BaseModel, ConfigDict

from jobs.lifecycle import transitions
from jobs.models import AiCall, AiJob
from jobs.tasks import run_job
from jobs.worker import run as runner
from jobs.worker.runtime import Runtime
from llm.errors import ErrorKind, LlmError
from tests.support import ROOT, database, events_of

MESSAGES = [{"role": "user", "content": "What is a primary key?"}]


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: str


async def streamed(run):
    async for piece in run.llm.stream("answer", MESSAGES):
        run.show(piece)
    return {"answer": "".join(run.shown), "citations": []}


def told(job):
    """The types of the stored events."""

    return [event["type"] for event in events_of(job.pk)]


def test_completed_job_stores_its_result_and_sends_its_events(engine):
    job = engine.run(engine.submit())
    assert (job.status, job.result["answer"], engine.saved) == ("completed", "done", [job.result])
    assert told(job) == ["job.started", "job.completed"]


def test_second_run_of_a_completed_job_does_nothing(engine):
    job = engine.run(engine.submit())
    assert engine.run(job).attempt == 1
    assert len(engine.saved) == 1


@pytest.mark.parametrize("kind", [ErrorKind.QUOTA, ErrorKind.AUTH, ErrorKind.BAD_REQUEST, ErrorKind.REFUSED])
def test_permanent_failure_ends_the_job_with_a_reason(engine, kind):
    async def work(run):
        raise LlmError(kind, "the detail")

    engine.work(work)
    job = engine.run(engine.submit())
    assert (job.status, job.error_code, job.error_detail) == ("failed", kind.value.code, "the detail")
    assert job.error_message == kind.value.message
    assert not job.retryable


@pytest.mark.parametrize("kind", [ErrorKind.TRANSIENT, ErrorKind.RATE_LIMITED])
def test_transient_failure_defers_the_job(engine, kind):
    async def work(run):
        raise LlmError(kind, "later", retry_after=30)

    engine.work(work)
    job = engine.run(engine.submit())
    assert (job.status, job.failures) == ("pending", 1)
    assert 28 < (job.run_after - job.started_at).total_seconds() < 35
    assert told(job) == ["job.started", "job.retrying"]


GROWING = [(0, 1, 2), (3, 8, 16), (4, 16, 32), (5, 30, 60), (11, 30, 60)]


@pytest.mark.parametrize(("failures", "least", "most"), GROWING)
def test_delay_grows_with_each_failure_up_to_a_minute(engine, failures, least, most):
    async def work(run):
        raise LlmError(ErrorKind.TRANSIENT, "down")

    engine.work(work)
    began = timezone.now()
    job = engine.run(engine.submit(failures=failures, max_attempts=20))
    assert began + timedelta(seconds=least) <= job.run_after <= timezone.now() + timedelta(seconds=most)


@pytest.mark.parametrize(("failures", "least", "most"), GROWING)
def test_delays_of_jobs_that_fail_together_are_jittered(failures, least, most):
    delays = [runner._delay(failures, None) for _ in range(500)]
    assert least <= min(delays) < least * 1.1
    assert most * 0.95 < max(delays) <= most


def test_retry_after_sets_the_delay_with_a_second_of_jitter():
    delays = [runner._delay(5, 30.0) for _ in range(500)]
    assert 30 <= min(delays) < 30.1 and 30.9 < max(delays) <= 31


def test_job_fails_after_its_last_try(engine):
    async def work(run):
        raise LlmError(ErrorKind.TRANSIENT, "down")

    engine.work(work)
    job = engine.run(engine.submit(failures=11, max_attempts=12))
    assert (job.status, job.retryable) == ("failed", True)


def test_bug_is_retried_and_its_error_shows_no_internals(engine):
    async def work(run):
        raise RuntimeError("secret internals")

    engine.work(work)
    job = engine.run(engine.submit())
    assert (job.status, job.error_code) == ("pending", "internal")
    assert "secret internals" not in job.error_message


def test_unreachable_database_is_a_transient_failure(engine):
    async def work(run):
        raise OperationalError("the connection is closed")

    engine.work(work)
    job = engine.run(engine.submit(failures=5))
    assert (job.status, job.error_code, job.failures) == ("pending", "database_away", 6)


def test_result_that_cannot_be_saved_fails_the_job_instead_of_its_worker(engine):
    engine.saved = None  # storing the result raises
    job = engine.run(engine.submit(failures=2))
    assert (job.status, job.error_code, job.result) == ("failed", "internal", None)


def test_run_over_its_deadline_is_stopped(engine):
    stopped = []

    async def work(run):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    engine.work(work, deadline=0.1)
    job = engine.run(engine.submit())
    assert (job.status, job.error_code, stopped) == ("pending", "deadline", [True])


async def test_cancelled_run_closes_its_call_and_keeps_the_partial_text(engine, simulator):
    simulator.set(token_interval=0.05)
    engine.work(streamed)
    job = engine.submit()
    running = asyncio.create_task(run_job(str(job.pk)))
    while simulator.counters["in_flight"] == 0:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # some text has been streamed
    assert await database.call(transitions.request_cancel, job)
    await asyncio.wait_for(running, 2)
    job = AiJob.objects.get(pk=job.pk)
    assert (job.status, engine.saved) == ("cancelled", [job.result])
    assert job.result["answer"]
    [call] = AiCall.objects.filter(job=job)
    assert (call.outcome, call.estimated) == ("cancelled", True)
    assert call.cost > 0
    assert simulator.counters["aborted"] == 1


async def test_job_cancelled_before_its_run_makes_no_call(engine, simulator):
    engine.work(streamed)
    job = engine.submit(cancel_requested=True)
    await run_job(str(job.pk))
    assert AiJob.objects.get(pk=job.pk).status == "cancelled"
    assert simulator.requests() == []


@pytest.mark.parametrize("has_begun", [True, False])
async def test_cancelling_the_task_cancels_its_job(engine, has_begun):
    """Cancel the task, as RQ's stop command does, also while the job is being claimed."""
    begun = asyncio.Event()

    async def work(run):
        run.show("so far")
        begun.set()
        await asyncio.sleep(60)

    engine.work(work)
    job = engine.submit()
    running = asyncio.create_task(run_job(str(job.pk)))
    await (begun.wait() if has_begun else asyncio.sleep(0))
    running.cancel()
    await asyncio.wait({running}, timeout=5)
    job = AiJob.objects.get(pk=job.pk)
    assert (running.cancelled(), job.status) == (True, "cancelled")
    assert job.result == ({"answer": "so far", "citations": []} if has_begun else job.result)
    last = events_of(job.pk)[-1]
    assert last["type"] == "job.cancelled"
    assert last.keys() == {"type", "jobId", "kind", "attempt", "seq", "at", "answer"}
    assert last["answer"] == (job.result["answer"] if job.result else "")


async def test_run_is_released_even_if_its_work_swallows_a_cancellation(engine):
    """The Redis client can swallow a cancellation before Python 3.12."""
    begun = asyncio.Event()

    async def work(run):
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    engine.work(work)
    job = engine.submit()
    runtime = Runtime()
    running = asyncio.create_task(run_job(str(job.pk), runtime))
    await begun.wait()
    [attempt] = runtime.leases.active()
    attempt.interrupt("released")
    await asyncio.wait_for(running, 5)
    await runtime.close()
    assert AiJob.objects.get(pk=job.pk).status == "pending"


async def test_runtime_stays_open_while_attempts_run_and_leaves_no_tasks(engine):
    begun = asyncio.Event()

    async def work(run):
        begun.set()
        await asyncio.sleep(60)

    engine.work(work)
    job = engine.submit()
    others = asyncio.all_tasks()
    runtime = Runtime()
    running = asyncio.create_task(run_job(str(job.pk), runtime))
    await begun.wait()
    await runtime.close()
    [attempt] = runtime.leases.active()
    attempt.interrupt("released")
    await asyncio.wait_for(running, 5)
    assert AiJob.objects.get(pk=job.pk).status == "pending"
    await runtime.close()
    assert asyncio.all_tasks() == others


async def test_runtime_ends_its_threads_though_redis_cannot_be_closed(monkeypatch):
    async def fail():
        raise ConnectionError

    runtime = Runtime()
    monkeypatch.setattr(runtime.redis, "aclose", fail)
    with pytest.raises(ConnectionError):
        await runtime.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        await runtime.db.call(int)


async def test_overtaken_run_stops_and_writes_nothing(engine, simulator):
    simulator.set(token_interval=0.05)
    engine.work(streamed)
    job = engine.submit()
    running = asyncio.create_task(run_job(str(job.pk)))
    while simulator.counters["in_flight"] == 0:
        await asyncio.sleep(0.01)
    AiJob.objects.filter(pk=job.pk).update(attempt=7)
    await asyncio.wait_for(running, 3)
    job = AiJob.objects.get(pk=job.pk)
    assert (job.status, job.result, engine.saved) == ("running", None, [])
    assert simulator.counters["aborted"] == 1


def test_every_call_has_a_row(engine, simulator):
    simulator.fault("500", times=1)
    engine.work(streamed)
    job = engine.run(engine.submit())
    failed, answered = AiCall.objects.filter(job=job)
    assert (failed.outcome, failed.error_code, failed.cost) == ("failed", "upstream_unavailable", 0)
    assert (answered.outcome, answered.purpose, answered.estimated) == ("ok", "answer", False)
    assert answered.input_tokens > 0 < answered.output_tokens
    assert answered.first_token_ms <= answered.duration_ms
    assert answered.upstream_id


def runs_until_it_ends(engine, job, most=8):
    """The job after as many runs as it takes to end, and how many they were; further delays are skipped."""
    for count in range(1, most + 1):
        job = engine.run(job)
        if job.is_final:
            return job, count
        AiJob.objects.filter(pk=job.pk).update(run_after=None)
    return job, most


@pytest.mark.parametrize("fault", ["disconnect", "stall", "garbage"])
def test_stream_that_breaks_after_its_text_is_paid_three_times_at_most(engine, simulator, fault):
    simulator.fault(fault, afterTokens=5)
    engine.work(streamed)
    job, count = runs_until_it_ends(engine, engine.submit(max_attempts=12))
    assert (count, job.status, job.retryable) == (3, "failed", True)
    assert job.error_message == runner.BROKEN_OFF
    assert job.error_code in ("upstream_unavailable", "upstream_garbled")
    assert len(simulator.requests()) == AiCall.objects.filter(job=job, estimated=True).count() == 3
    simulator.clear_faults()
    assert transitions.retry(job)
    assert engine.run(job).status == "completed"


def test_attempts_that_cost_nothing_do_not_use_up_the_paid_ones(engine, simulator):
    """Refusals, pauses and outages between two broken streams: the count goes on where it was."""
    troubles = iter(["break", "pause", "down", "break", "pause", "break", "break"])

    async def work(run):
        match next(troubles):
            case "pause":
                run.show("passages that may help meanwhile")
                raise LlmError(ErrorKind.PAUSED, "held")
            case "down":
                raise LlmError(ErrorKind.TRANSIENT, "down")
        return await streamed(run)

    simulator.fault("disconnect", afterTokens=5)
    engine.work(work)
    job, count = runs_until_it_ends(engine, engine.submit(max_attempts=12))
    assert (count, job.status, job.failures) == (6, "failed", 3)
    assert len(simulator.requests()) == 3


@pytest.mark.parametrize("purpose", ["structured", "embedding", "rewrite"])
def test_answers_that_cannot_be_read_are_paid_three_times_at_most(engine, simulator, purpose):
    async def work(run):
        match purpose:
            case "structured":
                await run.llm.parse("verdict", MESSAGES, Verdict)
            case "embedding":
                await run.llm.embed("embedding", ["x"])
            case "rewrite":
                await run.llm.text("rewrite", MESSAGES)

    simulator.fault("raw", endpoint="*", body='{"error": "text"}')
    engine.work(work)
    job, count = runs_until_it_ends(engine, engine.submit(max_attempts=12))
    assert (count, job.status, job.error_code, job.retryable) == (3, "failed", "upstream_garbled", True)
    assert len(simulator.requests()) == AiCall.objects.filter(job=job).count() == 3


def test_operations_page_explains_every_failure_code():
    page = (ROOT / "docs/operations.md").read_text()
    explained = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`[a-z_`, ]+) \|", page, re.MULTILINE))))
    failures = (runner.DEADLINE, transitions.POISONOUS, *map(runner._reason, (ZeroDivisionError(), OperationalError())))
    assert {kind.value.code for kind in ErrorKind} | {failure.code for failure in failures} <= explained


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_result_that_cannot_be_saved_is_not_made_again(engine, text):
    """And what the person wrote is not told to staff."""
    runs = []

    async def answer(run):
        runs.append(run)
        return {"answer": f"xylophagous {text}", "citations": []}

    engine.work(answer)
    job = engine.run(engine.submit())
    assert (job.status, job.error_code, job.retryable, len(runs)) == ("failed", "not_saved", True, 1)
    assert "could not be saved" in job.error_message
    assert "xylophagous" not in job.error_detail and "xylophagous" not in str(job.history)


def test_details_of_failures_do_not_quote_people(engine):
    async def answer(run):
        int("xylophagous question")

    engine.work(answer)
    job = engine.run(engine.submit())
    assert job.error_code == "internal" and "xylophagous" not in job.error_detail + str(job.history)
    assert "invalid literal for int()" in job.error_detail
