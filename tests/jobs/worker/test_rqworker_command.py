"""The options of `manage.py rqworker` work as with a stock RQ worker, and stock workers can run our jobs."""

import time
from datetime import timedelta

import django_rq
import pytest

from devstack.servers.processes import end
from jobs.backends import connections
from jobs.models import AiJob
from tests.jobs.worker import foreign
from tests.jobs.worker.test_rq_worker import rq
from tests.support import ask, manage, wait_for

FOREIGN = {"JOBS_ALLOWED_FUNCTIONS": foreign.ALLOWED}


@pytest.fixture
def queue():
    queue = django_rq.get_queue("background")
    yield queue
    queue.empty()


def statuses(*job_ids):
    return sorted(AiJob.objects.filter(pk__in=job_ids).values_list("status", flat=True))


def test_burst_runs_queued_jobs_and_those_they_enqueue_and_exits(platform, api, sql_course, queue):
    jobs = [ask(api, sql_course)["jobId"] for _ in range(3)]
    queue.enqueue(foreign.enqueue_another, "background")
    assert manage("rqworker", "--burst", **FOREIGN).wait(20) == 0
    assert statuses(*jobs) == ["completed"] * 3
    assert queue.fetch_job("another").return_value() == 3


def test_max_jobs_takes_that_many_and_finishes_them(platform, api, sql_course, simulator):
    simulator.set(token_interval=0.02)
    jobs = [ask(api, sql_course)["jobId"] for _ in range(3)]
    assert manage("rqworker", "interactive", "--max-jobs", "2", JOBS_GRACE_SECONDS="0").wait(20) == 0
    assert statuses(*jobs) == ["completed", "completed", "pending"]


def test_max_idle_time_does_not_count_while_a_job_is_in_flight(platform, queue):
    job = queue.enqueue(foreign.wait_for, 2.5)
    process = manage("rqworker", "background", "--max-idle-time", "1", **FOREIGN, JOBS_GRACE_SECONDS="0")
    assert process.wait(20) == 0
    job.refresh()
    assert job.get_status() == "finished"
    assert 1 <= time.time() - job.ended_at.timestamp() < 6


def test_with_scheduler_scheduled_jobs_are_enqueued_on_time(platform, queue):
    job = queue.enqueue_in(timedelta(seconds=1), foreign.add, 1, 2)
    process = manage("rqworker", "background", "--with-scheduler", **FOREIGN)
    try:
        wait_for(job.latest_result)
        assert job.return_value() == 3
    finally:
        end(process)
    assert process.returncode == 0
    assert not connections.redis().keys("rq:scheduler*")


@pytest.mark.parametrize("stock", ["rq.Worker", "rq.SimpleWorker"])
def test_stock_rq_workers_write_answers_too(platform, api, sql_course, stock):
    jobs = [ask(api, sql_course)["jobId"] for _ in range(2)]
    assert manage("rqworker", "--worker-class", stock, "--burst").wait(30) == 0
    rows = AiJob.objects.filter(pk__in=jobs)
    assert [(row.status, row.attempt, row.messages.count()) for row in rows] == [("completed", 1, 2)] * 2


def test_jobs_removed_by_rq_empty_are_still_answered(platform, api, sql_course, simulator):
    simulator.set(token_interval=0.05)
    with platform.worker(JOBS_PER_WORKER="1", JOBS_REQUEUE_SECONDS="1"):
        first = ask(api, sql_course)["jobId"]
        wait_for(lambda: statuses(first) == ["running"])
        waiting = [ask(api, sql_course)["jobId"] for _ in range(2)]
        interactive = django_rq.get_queue("interactive")
        wait_for(lambda: interactive.count == 2)
        assert "2 jobs removed from interactive queue" in rq("empty", "interactive")
        assert (interactive.count, statuses(first, *waiting)) == (0, ["pending", "pending", "running"])
        wait_for(lambda: interactive.count == 2)  # the sweeper has noticed
        simulator.set(token_interval=0.002)
        wait_for(lambda: statuses(first, *waiting) == ["completed"] * 3)
    assert [(row.attempt, row.messages.count()) for row in AiJob.objects.filter(pk__in=waiting)] == [(1, 2)] * 2


def test_job_is_not_popped_without_a_free_slot(platform, queue):
    with platform.worker("background", **FOREIGN, JOBS_PER_WORKER="1"):
        first, second = queue.enqueue(foreign.wait_for, 1), queue.enqueue(foreign.add, 1, 2)
        wait_for(lambda: first.get_status() == "started")
        assert queue.job_ids == [second.id]
        wait_for(second.latest_result)
    first.refresh()
    second.refresh()
    assert second.started_at >= first.ended_at
