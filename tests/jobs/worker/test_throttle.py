"""A worker leaves jobs in their queues while its event loop lags."""

import logging
import time

import django_rq
import pytest
from rq.job import JobStatus

from jobs.backends import connections
from jobs.backends.upstream import Upstream
from jobs.tasks import run_job
from jobs.worker import throttle
from jobs.worker.runtime import Runtime
from jobs.worker.throttle import HOLD_SECONDS, Throttle
from llm.errors import ErrorKind, LlmError
from tests.jobs.worker import foreign
from tests.support import wait_for


@pytest.fixture
def upstream():
    return Upstream(connections.async_redis())


def waited(loop, upstream, in_flight):
    """Seconds."""
    began = time.monotonic()
    Throttle(loop, upstream).wait(in_flight)
    return time.monotonic() - began


def test_next_job_starts_at_once_while_the_loop_is_on_time(loop, upstream):
    assert waited(loop, upstream, in_flight=100) < HOLD_SECONDS


def test_next_job_waits_while_the_loop_is_late_up_to_a_limit(crowded, upstream):
    assert waited(crowded, upstream, in_flight=100) >= HOLD_SECONDS


def test_idle_worker_takes_a_job_even_if_its_loop_is_late(crowded, upstream):
    assert waited(crowded, upstream, in_flight=0) < HOLD_SECONDS


def test_jobs_start_one_by_one_after_an_upstream_outage(loop, upstream, monkeypatch):
    monkeypatch.setattr(throttle, "GAP_SECONDS", 0.1)
    worker = Throttle(loop, upstream)

    def three():
        began = time.monotonic()
        for _ in range(3):
            worker.wait(in_flight=0)
        return time.monotonic() - began

    assert three() < 0.1
    upstream.note_pause()
    assert three() >= 0.2


async def test_attempt_stopped_by_the_breaker_marks_the_upstream_as_paused(engine):
    async def paused(run):
        raise LlmError(ErrorKind.PAUSED, "open", 10)

    engine.work(paused)
    runtime = Runtime()
    await run_job(str(engine.submit().pk), runtime)
    assert time.monotonic() - runtime.upstream.paused_at < throttle.RECOVERY_SECONDS
    await runtime.close()


def test_saturation_is_logged_once_a_minute(crowded, upstream, caplog, monkeypatch):
    monkeypatch.setattr(throttle, "REPORT_AFTER", 3)
    monkeypatch.setattr(throttle, "REPORT_SECONDS", 1e9)  # stays within the same minute
    worker = Throttle(crowded, upstream)
    with caplog.at_level(logging.WARNING, "jobs.worker.throttle"):
        for reports in (0, 0, 1, 1):
            worker.wait(7)
            assert [record.args for record in caplog.records] == [(7,)] * reports


def test_jobs_stay_in_their_queue_for_other_workers(platform):
    queue = django_rq.get_queue("background")
    with platform.worker(JOBS_ALLOWED_FUNCTIONS=foreign.ALLOWED):
        crowd = queue.enqueue(foreign.crowd_the_loop, 2)
        wait_for(lambda: crowd.get_status() == JobStatus.STARTED)
        jobs = [queue.enqueue(foreign.add_later, 1, 2) for _ in range(40)]
        wait_for(lambda: crowd.get_status() == JobStatus.FINISHED)
        assert queue.count > 20
        wait_for(lambda: all(job.get_status() == JobStatus.FINISHED for job in jobs))
