"""A worker leaves jobs in their queues while its event loop is late, and takes them again when it is in time."""

import asyncio
import logging
import time

import django_rq
import pytest
from rq.job import JobStatus

from jobs.worker import throttle
from jobs.worker.loop_thread import LoopThread
from jobs.worker.throttle import PATIENCE_SECONDS, Pace
from llm.errors import Kind, LlmError
from tests.jobs.worker import foreign
from tests.support import wait_for


@pytest.fixture
def loop():
    async def nothing():
        pass

    thread = LoopThread(at_end=nothing)
    thread.start()
    yield thread
    thread.stop(timeout=5)


@pytest.fixture
def crowded(loop):
    task = loop.submit(foreign.crowd_the_loop(60))
    yield loop
    task.cancel()


def waited(loop, in_flight):
    """Seconds; the loop takes up what it has been given first."""
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop.loop).result()
    began = time.monotonic()
    Pace(loop).wait(in_flight)
    return time.monotonic() - began


def test_next_job_need_not_wait_for_a_loop_that_is_in_time(loop):
    assert waited(loop, in_flight=100) < PATIENCE_SECONDS


def test_next_job_waits_while_the_loop_is_late_but_not_for_ever(crowded):
    assert waited(crowded, in_flight=100) >= PATIENCE_SECONDS


def test_a_worker_without_jobs_takes_one_however_slow_its_machine(crowded):
    assert waited(crowded, in_flight=0) < PATIENCE_SECONDS


def test_jobs_begin_one_by_one_for_a_while_after_the_upstream_was_away(loop, monkeypatch):
    monkeypatch.setattr(throttle, "GAP_SECONDS", 0.1)
    monkeypatch.setattr(throttle, "_paused_at", -throttle.RECOVERY_SECONDS)
    worker = Pace(loop)

    def three():
        began = time.monotonic()
        for _ in range(3):
            worker.wait(in_flight=0)
        return time.monotonic() - began

    assert three() < 0.1
    throttle.note_pause()
    assert three() >= 0.2


def test_a_run_that_the_breaker_holds_back_says_so(engine, monkeypatch):
    monkeypatch.setattr(throttle, "_paused_at", -throttle.RECOVERY_SECONDS)

    async def paused(run):
        raise LlmError(Kind.PAUSED, "open", 10)

    engine.work(paused)
    engine.run(engine.submit())
    assert time.monotonic() - throttle._paused_at < throttle.RECOVERY_SECONDS


def test_log_says_once_a_minute_that_more_workers_would_help(crowded, caplog, monkeypatch):
    monkeypatch.setattr(throttle, "TELL_AFTER", 3)
    monkeypatch.setattr(throttle, "TELL_SECONDS", 1e9)  # no minute ends meanwhile
    worker = Pace(crowded)
    with caplog.at_level(logging.WARNING, "jobs.worker.throttle"):
        for told in (0, 0, 1, 1):
            worker.wait(7)
            assert [record.args for record in caplog.records] == [(7,)] * told


def test_jobs_stay_in_their_queue_for_other_workers(worker):
    queue = django_rq.get_queue("background")
    crowd = queue.enqueue(foreign.crowd_the_loop, 2)
    wait_for(lambda: crowd.get_status() == JobStatus.STARTED)
    jobs = [queue.enqueue(foreign.add_later, 1, 2) for _ in range(40)]
    wait_for(lambda: crowd.get_status() == JobStatus.FINISHED)
    assert queue.count > 20
    wait_for(lambda: all(job.get_status() == JobStatus.FINISHED for job in jobs))
