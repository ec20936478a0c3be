"""RQ shows no failure that is none: an entry only carries a job's id, and may vanish or be doubled at any moment."""

import re
import time
from datetime import timedelta

import django_rq
import pytest
from django.db import connection
from django.utils import timezone
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.registry import StartedJobRegistry

from jobs.backends import connections, queues
from jobs.backends.faults import Faults
from jobs.models import AiJob
from jobs.worker import sweeper
from jobs.worker.rq_worker import AsyncWorker
from tests.jobs.worker import foreign
from tests.jobs.worker.test_entries import Log
from tests.jobs.worker.test_rq_worker import rq
from tests.support import ask, wait_for

LONG_AGO = timezone.now() - timedelta(minutes=5)
LEFT_BY_RUNS = (
    *("rq:failed:*", "rq:wip:*", "rq:execution*", "rq:results:*", "rq:worker:*:executions", "rq:job:*"),
    "rq:queue:*:intermediate",
)


@pytest.fixture
def redis(platform, sql_course):
    connection = connections.redis()
    for pattern in LEFT_BY_RUNS:
        for key in connection.scan_iter(pattern):
            connection.delete(key)
    return connection


def row(job_id):
    return AiJob.objects.get(pk=job_id)


def all_completed(jobs):
    return AiJob.objects.filter(pk__in=jobs, status="completed").count() == len(jobs)


def assert_no_trace(redis, log):
    """Nothing of the runs is left in Redis, nothing counts as failed, and no traceback was logged."""
    wait_for(lambda: not [key for pattern in LEFT_BY_RUNS for key in redis.scan_iter(pattern)])
    assert set(re.findall(r"(\d+) failed", rq("info"))) <= {"0"}
    assert "Traceback" not in log.text and "Failed to retrieve status" not in log.text


@pytest.fixture
def answering(platform, redis, api, sql_course, simulator):
    """An answer that a worker is writing, slowly, with the worker and its log."""
    simulator.set(token_interval=0.05)
    log = Log()
    with platform.worker() as worker:
        job_id = ask(api, sql_course)["jobId"]
        wait_for(lambda: row(job_id).status == "running" and redis.hget(f"rq:job:{job_id}-1", "worker_name"))
        yield job_id, worker, log


def test_questions_that_waited_for_a_worker_are_answered_once_and_not_failed(platform, redis, api, sql_course):
    jobs = [ask(api, sql_course)["jobId"] for _ in range(8)]
    AiJob.objects.filter(pk__in=jobs).update(enqueued_at=LONG_AGO)  # longer than JOBS_REQUEUE_SECONDS
    log = Log()
    with platform.worker(JOBS_REQUEUE_SECONDS="1", JOBS_SWEEP_SECONDS="0.05"):
        wait_for(lambda: all_completed(jobs), 30)
        assert_no_trace(redis, log)
    assert {(each.attempt, each.messages.count()) for each in AiJob.objects.filter(pk__in=jobs)} == {(1, 2)}
    assert not [job_id for job_id in jobs if f"job {job_id} was in no queue" in log.text]


@pytest.mark.parametrize("loss", ["the entry", "everything"])
def test_entry_that_vanishes_during_its_run_is_done(redis, answering, simulator, loss):
    job_id, _, log = answering
    if loss == "everything":
        redis.flushall()
    else:
        redis.delete(f"rq:job:{job_id}-1")
    simulator.set(token_interval=0.001)
    wait_for(lambda: row(job_id).status == "completed")
    assert_no_trace(redis, log)


def test_double_of_a_running_entry_does_nothing_and_fails_nothing(redis, answering, simulator):
    job_id, _, log = answering
    redis.rpush("rq:queue:interactive", f"{job_id}-1")
    wait_for(lambda: "nothing to do" in log.text)
    assert row(job_id).status == "running"
    simulator.set(token_interval=0.001)
    wait_for(lambda: row(job_id).status == "completed")
    assert_no_trace(redis, log)


def test_foreign_entry_that_vanishes_during_its_run_is_done(platform, redis):
    log = Log()
    queue = django_rq.get_queue("background")
    with platform.worker("background", JOBS_ALLOWED_FUNCTIONS=foreign.ALLOWED):
        ends = [queue.enqueue(foreign.wait_for, 1, result_ttl=ttl) for ttl in (0, 60)]
        fails = queue.enqueue(foreign.fail_in, 1)
        for job in (*ends, fails):
            wait_for(lambda job=job: redis.hget(job.key, "worker_name"))
            redis.delete(job.key)
        assert_no_trace(redis, log)


def test_entry_of_a_killed_worker_is_gone_before_rq_would_call_it_failed(redis, answering):
    job_id, worker, _ = answering
    entry = f"{job_id}-1"
    [(_, expires)] = redis.zrange("rq:wip:interactive", 0, -1, withscores=True)
    worker.kill()
    worker.wait()
    assert 0 < redis.ttl(f"rq:job:{entry}") < expires - time.time() - 20
    redis.delete(f"rq:job:{entry}")  # as it will be by then
    StartedJobRegistry("interactive", connection=redis).cleanup(expires + 1)
    assert redis.zcard("rq:wip:interactive") == redis.zcard("rq:failed:interactive") == 0


def test_running_entry_is_kept_alive(redis, answering):
    job_id, *_ = answering
    key = f"rq:job:{job_id}-1"
    worker = AsyncWorker(["interactive"], connection=redis)
    worker.register_birth()
    job = Job.fetch(f"{job_id}-1", connection=redis)
    [execution] = job.get_executions()
    redis.expire(key, 5)
    worker.beat(job, execution)
    assert redis.ttl(key) > 50
    redis.delete(key, execution.key)
    worker.beat(job, execution)
    assert not redis.exists(key, execution.key)
    worker.register_death()


def test_run_that_cannot_claim_its_job_is_not_failed_and_comes_back(platform, redis, api, sql_course):
    job_id = ask(api, sql_course)["jobId"]
    log = Log()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_aijob RENAME TO away")
        try:
            with platform.worker(JOBS_REQUEUE_SECONDS="1"):
                wait_for(lambda: f"entry {job_id}-1: its run ended with" in log.text)
                wait_for(lambda: not redis.exists(f"rq:job:{job_id}-1", "rq:wip:interactive"))
                assert redis.zcard("rq:failed:interactive") == 0
                cursor.execute("ALTER TABLE away RENAME TO jobs_aijob")
                wait_for(lambda: row(job_id).status == "completed", 30)
        finally:
            cursor.execute("ALTER TABLE IF EXISTS away RENAME TO jobs_aijob")
    assert row(job_id).attempt == 1


class TestSweeper:
    """It leaves alone what a worker has popped."""

    @pytest.fixture
    def popped(self, engine, redis):
        """A pending job whose entry a worker has popped."""
        job = engine.submit(enqueued_at=LONG_AGO)
        redis.delete("rq:queue:interactive")
        return job

    @pytest.fixture
    def executed(self, popped, redis):
        """The same, and the worker has registered the execution."""
        worker = AsyncWorker(["interactive", "default"], connection=redis)
        execution = worker.prepare_execution(Job.fetch(popped.rq_id, connection=redis))
        return popped, execution

    def test_an_entry_that_is_executed_is_not_enqueued_again(self, executed, redis):
        job, _ = executed
        sweeper.enqueue_forgotten(Faults())
        queues.forget(job)
        assert redis.exists(f"rq:job:{job.rq_id}")
        assert not redis.exists("rq:queue:interactive")
        assert AiJob.objects.get(pk=job.pk).enqueued_at == LONG_AGO

    def test_an_entry_whose_worker_died_before_it_claimed_the_job_is_enqueued_again(self, executed, redis):
        job, execution = executed
        last = time.time() + queues.HEARTBEAT_TTL - queues.ALIVE_SECONDS - 1  # as if the last heartbeat was then
        redis.zadd("rq:wip:interactive", {execution.composite_key: last})
        redis.zadd(ExecutionRegistry(job.rq_id, redis).key, {execution.id: last + 60})
        sweeper.enqueue_forgotten(Faults())
        assert redis.lrange("rq:queue:interactive", 0, -1) == [job.rq_id.encode()]

    def test_an_entry_that_was_just_moved_out_of_its_queue_is_not_enqueued_again(self, popped, redis):
        redis.rpush("rq:queue:interactive:intermediate", popped.rq_id)
        sweeper.enqueue_forgotten(Faults())
        assert not redis.exists("rq:queue:interactive")

    def test_an_entry_that_was_moved_out_of_its_queue_long_ago_is_enqueued_again(self, popped, redis):
        redis.rpush("rq:queue:interactive:intermediate", popped.rq_id)
        redis.set(f"rq:queue:interactive:intermediate:first_seen:{popped.rq_id}", time.time() - 3600)
        sweeper.enqueue_forgotten(Faults())
        assert redis.lrange("rq:queue:interactive", 0, -1) == [popped.rq_id.encode()]
        assert not redis.exists("rq:queue:interactive:intermediate")

    def test_a_job_that_is_claimed_while_the_sweeper_looks_is_not_enqueued_again(self, popped, redis, monkeypatch):
        def claimed_meanwhile(seconds):
            AiJob.objects.filter(pk=popped.pk).update(status="running")

        monkeypatch.setattr(queues.time, "sleep", claimed_meanwhile)
        sweeper.enqueue_forgotten(Faults())
        assert not redis.exists("rq:queue:interactive")

    def test_ids_that_are_no_text_do_not_confuse_it(self, popped, redis):
        redis.rpush("rq:queue:interactive", b"\xff\xfe")
        redis.rpush("rq:queue:interactive:intermediate", b"\xff\xfe")
        sweeper.enqueue_forgotten(Faults())
        assert popped.rq_id.encode() in redis.lrange("rq:queue:interactive", 0, -1)
        redis.delete("rq:queue:interactive:intermediate")


def test_entry_that_its_worker_left_behind_is_removed_and_not_failed(engine, redis):
    job = engine.submit(status="cancelled")
    worker = AsyncWorker(["interactive"], connection=redis)
    queue = queues._queue("interactive")
    redis.lmove("rq:queue:interactive", "rq:queue:interactive:intermediate")
    redis.set(f"rq:queue:interactive:intermediate:first_seen:{job.rq_id}", time.time() - 3600)
    queue.intermediate_queue.cleanup(worker, queue)
    assert not redis.exists("rq:queue:interactive:intermediate", "rq:failed:interactive", f"rq:job:{job.rq_id}")
