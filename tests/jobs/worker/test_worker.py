"""The worker as a real process: concurrent answers, and no job lost when it dies."""

import asyncio
import contextlib
import signal
import subprocess

import django_rq
import pytest
from django.contrib.auth.models import User
from django.db import connection

from devstack.servers.processes import Program, end
from jobs.backends import connections, queues
from jobs.models import AiCall, AiJob
from tests.jobs.worker import foreign
from tests.support import Platform, assert_no_holes, eventually, text_of, wait_for

QUESTION = "What does COALESCE return?"


def ask(platform: Platform, user: User, course, **body) -> str:
    with platform.client(user) as client:
        response = client.post("/api/assistant/query", json={"courseId": course.slug, "question": QUESTION, **body})
        assert response.status_code == 202, response.text
        return response.json()["jobId"]


def status(job_id: str) -> str:
    return AiJob.objects.get(pk=job_id).status


def is_streaming(job_id: str, simulator) -> bool:
    return status(job_id) == "running" and any(
        r["purpose"] == "answer" and r["first_token_at"] for r in simulator.requests()
    )


def test_one_process_writes_many_answers_at_once(platform, learner, sql_course, simulator):
    simulator.set(first_token=0.5, token_interval=0.01)
    jobs = [ask(platform, learner, sql_course) for _ in range(20)]
    with platform.worker():
        wait_for(lambda: all(status(job) == "completed" for job in jobs), 30)
    assert simulator.counters["peak_in_flight"] >= 15


async def test_answer_of_a_killed_worker_is_replaced_by_another_workers(platform, learner, sql_course, simulator):
    simulator.set(token_interval=0.05)
    async with platform.socket(learner) as socket:
        with platform.worker() as first:
            job = ask(platform, learner, sql_course)
            events = await socket.until("job.delta")
            first.kill()
            first.wait()
            simulator.set(token_interval=0.002)
            with platform.worker():
                events += await socket.until(timeout=20)
    assert_no_holes(events)
    assert events[-1]["type"] == "job.completed"
    assert events[-1]["attempt"] == 2
    assert text_of(events) == events[-1]["answer"]
    row = AiJob.objects.get(pk=job)
    assert (row.attempt, row.crashes, row.messages.filter(role="assistant").count()) == (2, 1, 1)


def test_sigterm_lets_short_answers_finish(platform, learner, sql_course, simulator):
    simulator.set(token_interval=0.005)
    with platform.worker() as process:
        job = ask(platform, learner, sql_course)
        wait_for(lambda: is_streaming(job, simulator))
        end(process)
        assert process.returncode == 0
    assert (status(job), AiJob.objects.get(pk=job).attempt) == ("completed", 1)


def test_sigterm_hands_long_answers_to_another_worker_at_once(platform, learner, sql_course, simulator):
    simulator.set(token_interval=0.2)
    with platform.worker() as first:
        job = ask(platform, learner, sql_course)
        wait_for(lambda: is_streaming(job, simulator))
        end(first)
        assert first.returncode == 0
        assert status(job) == "pending"
        simulator.set(token_interval=0.002)
        with platform.worker():
            wait_for(lambda: status(job) == "completed", 8)
    row = AiJob.objects.get(pk=job)
    assert (row.attempt, row.crashes, row.failures) == (2, 0, 0)
    assert [call.outcome for call in AiCall.objects.filter(job=job, purpose="answer")] == ["cancelled", "ok"]


def test_second_sigterm_does_not_wait_for_the_grace_time(platform, learner, sql_course, simulator):
    simulator.set(token_interval=0.2)
    with platform.worker(JOBS_GRACE_SECONDS="60") as process:
        job = ask(platform, learner, sql_course)
        wait_for(lambda: is_streaming(job, simulator))
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        process.wait(8)
    assert status(job) == "pending"


def test_jobs_accepted_while_no_worker_runs_are_done_later(platform, learner, sql_course):
    job = ask(platform, learner, sql_course)
    assert status(job) == "pending"
    with platform.worker():
        wait_for(lambda: status(job) == "completed")


def test_accepted_jobs_survive_a_flushed_redis(platform, learner, sql_course):
    jobs = [ask(platform, learner, sql_course) for _ in range(5)]
    connections.redis().flushall()
    with platform.worker():
        wait_for(lambda: all(status(job) == "completed" for job in jobs), 20)


async def test_viewer_misses_no_event_when_redis_is_flushed_mid_answer(platform, learner, sql_course, simulator):
    simulator.set(token_interval=0.03)
    with platform.worker():
        async with platform.socket(learner) as socket:
            job = ask(platform, learner, sql_course)
            events = await socket.until("job.delta")
            connections.redis().flushall()
            events += await socket.until()
    assert_no_holes(events)
    assert text_of(events) == AiJob.objects.get(pk=job).result["answer"]


async def test_answers_survive_a_redis_killed_mid_answer(platform, learner, sql_course, simulator):
    simulator.set(token_interval=0.05)
    redis: Program = platform.stack.redis
    with platform.worker():
        async with platform.socket(learner) as socket:
            job = ask(platform, learner, sql_course)
            await socket.until("job.delta")
            redis.process.kill()
            redis.process.wait()
            await asyncio.sleep(0.5)
            platform.stack.supervisor._spawn(redis)
            await eventually(lambda: status(job) == "completed", 20)
    row = AiJob.objects.get(pk=job)
    assert (row.attempt, row.messages.filter(role="assistant").count()) == (1, 1)
    async with platform.socket(learner) as socket:
        await socket.send({"type": "resume", "jobId": job, "after": {"attempt": 0, "seq": 0}})
        events = await socket.until()
    assert events[-1]["answer"] == row.result["answer"]


def test_postgres_killed_mid_answer_costs_at_most_one_more_run(platform, learner, sql_course, simulator):
    simulator.set(token_interval=0.03)
    with platform.worker():
        job = ask(platform, learner, sql_course)
        wait_for(lambda: is_streaming(job, simulator))
        platform.stack.postgres.kill()
        platform.stack.postgres.start()
        connection.close()  # this process's connection, which broke too
        wait_for(lambda: status(job) == "completed", 30)
    row = AiJob.objects.get(pk=job)
    assert row.messages.filter(role="assistant").count() == 1
    assert AiCall.objects.filter(job=job, purpose="answer").count() <= 2


def test_jobs_run_in_order_of_priority(platform, learner, sql_course):
    jobs = {ask(platform, learner, sql_course): queue for queue in ("background", "default") for _ in range(2)}
    connections.redis().delete("rq:queue:interactive")
    for job in AiJob.objects.filter(pk__in=jobs):
        AiJob.objects.filter(pk=job.pk).update(queue=jobs[str(job.pk)])
        job.refresh_from_db()
        queues.forget(job)
        queues.enqueue(job)
    jobs[ask(platform, learner, sql_course)] = "interactive"
    with platform.worker(JOBS_PER_WORKER="1"):
        wait_for(lambda: all(status(job) == "completed" for job in jobs), 20)
    begun = AiJob.objects.filter(pk__in=jobs).order_by("started_at").values_list("queue", flat=True)
    assert list(begun) == ["interactive", "default", "default", "background", "background"]


def test_question_gets_a_slot_while_many_background_jobs_wait(platform, learner, sql_course):
    """Of four slots, background jobs occupy two; a question gets one of the others."""
    background = django_rq.get_queue("background")
    background.empty()  # of jobs left over from preparing the course
    waiting = [background.enqueue(foreign.wait_for, 60) for _ in range(6)]
    with platform.worker(JOBS_ALLOWED_FUNCTIONS=foreign.ALLOWED, JOBS_PER_WORKER="4", JOBS_GRACE_SECONDS="0"):
        wait_for(lambda: background.started_job_registry.count == 2)
        job = ask(platform, learner, sql_course)
        wait_for(lambda: status(job) == "completed")
        assert background.started_job_registry.count == 2
        assert background.job_ids[:4] == [each.id for each in waiting[2:]]
    background.empty()


def test_open_event_streams_hold_no_database_connections(platform, learner, sql_course):
    job = ask(platform, learner, sql_course)  # without a worker the streams stay open
    before = connections_in_use()
    with contextlib.ExitStack() as streams:
        for _ in range(6):
            client = streams.enter_context(platform.client(learner))
            streams.enter_context(client.stream("GET", f"/api/jobs/{job}/events"))
        assert connections_in_use() <= before + 2


def connections_in_use():
    """The connections that Daphne's pool has opened; it opens one only if none is free."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return cursor.fetchone()[0]
