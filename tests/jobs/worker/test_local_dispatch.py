"""A worker with a free slot starts jobs that its own runs submit, without taking them from the queue."""

import django_rq
import pytest
from django.conf import settings
from rq import Worker

from jobs.backends import connections
from jobs.models import AiJob
from tests.support import ask, wait_for


@pytest.fixture
def redis(platform, sql_course):
    for name in settings.JOBS_QUEUES:
        django_rq.get_queue(name).empty()  # of jobs left over from preparing the course
    return connections.redis()


def followed():
    """Wait for the job that suggests follow-up questions, and return it."""
    wait_for(lambda: AiJob.objects.filter(kind="assistant.suggestions").exists())
    return AiJob.objects.get(kind="assistant.suggestions")


def seen_by_rq(redis, process):
    [worker] = [worker for worker in Worker.all(connection=redis) if worker.pid == process.pid]
    return worker.successful_job_count


def is_completed(job):
    return AiJob.objects.get(pk=job.pk).status == "completed"


def test_worker_with_a_free_slot_starts_jobs_submitted_by_its_run(platform, redis, api, sql_course):
    with platform.worker() as process:
        ask(api, sql_course)
        job = followed()
        wait_for(lambda: is_completed(job))
        wait_for(lambda: seen_by_rq(redis, process) == 1)
    assert not redis.exists(f"rq:job:{job.rq_id}")


def test_worker_without_a_free_slot_takes_the_job_from_the_queue_later(platform, redis, api, sql_course):
    with platform.worker(JOBS_PER_WORKER="1") as process:
        ask(api, sql_course)
        job = followed()
        wait_for(lambda: is_completed(job))
        wait_for(lambda: seen_by_rq(redis, process) == 2)


def test_worker_of_other_queues_leaves_the_job_in_its_queue(platform, api, sql_course):
    with platform.worker("interactive"):
        ask(api, sql_course)
        job = followed()
        wait_for(lambda: job.rq_id in django_rq.get_queue("background").job_ids)
    assert not is_completed(job)


def test_suspended_worker_starts_nothing(platform, redis, api, sql_course, simulator):
    simulator.set(token_interval=0.01)
    with platform.worker():
        answer = ask(api, sql_course)["jobId"]
        wait_for(lambda: AiJob.objects.get(pk=answer).status == "running")
        redis.set("rq:suspended", 1)
        try:
            job = followed()
            wait_for(lambda: job.rq_id in django_rq.get_queue("background").job_ids)
            assert AiJob.objects.get(pk=job.pk).status == "pending"
        finally:
            redis.delete("rq:suspended")
        wait_for(lambda: is_completed(job))
