"""What a run submits is begun by its own worker: when that has room, and only then. RQ counts what it was given."""

import asyncio
import time

import django_rq
import pytest
from rq import Worker

from jobs import kinds
from jobs.backends import queues
from jobs.models import AiJob
from jobs.worker import local_dispatch
from tests.support import ask, wait_for


@pytest.fixture
def redis(platform, sql_course):
    for name in kinds.QUEUES:
        django_rq.get_queue(name).empty()  # of what is left of preparing the course
    return queues.connection()


def followed():
    """The job that suggests questions after the answer, once it is there."""
    wait_for(lambda: AiJob.objects.filter(kind="assistant.suggestions").exists())
    return AiJob.objects.get(kind="assistant.suggestions")


def seen_by_rq(redis, process):
    [worker] = [worker for worker in Worker.all(connection=redis) if worker.pid == process.pid]
    return worker.successful_job_count


def is_completed(job):
    return AiJob.objects.get(pk=job.pk).status == "completed"


def test_worker_with_room_begins_what_its_run_has_submitted(platform, redis, api, sql_course):
    with platform.worker() as process:
        ask(api, sql_course)
        job = followed()
        wait_for(lambda: is_completed(job))
        wait_for(lambda: seen_by_rq(redis, process) == 1)
    assert not redis.exists(f"rq:job:{job.rq_id}")


def test_worker_without_room_takes_it_from_the_queue_later(platform, redis, api, sql_course):
    with platform.worker(JOBS_PER_WORKER="1") as process:
        ask(api, sql_course)
        job = followed()
        wait_for(lambda: is_completed(job))
        wait_for(lambda: seen_by_rq(redis, process) == 2)


def test_worker_of_other_queues_leaves_it_to_others(platform, api, sql_course):
    with platform.worker("interactive"):
        ask(api, sql_course)
        job = followed()
        wait_for(lambda: job.rq_id in django_rq.get_queue("background").job_ids)
    assert not is_completed(job)


def test_suspended_worker_begins_nothing(platform, redis, api, sql_course, simulator):
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


async def test_what_can_wait_waits_until_the_event_loop_is_in_time(monkeypatch):
    monkeypatch.setattr(local_dispatch, "LOOK_SECONDS", 0.02)
    is_busy = True

    async def keep_busy():
        while is_busy:
            time.sleep(0.05)  # what holds the loop up
            await asyncio.sleep(0)

    busy, waiting = asyncio.create_task(keep_busy()), asyncio.create_task(local_dispatch._until_calm())
    await asyncio.sleep(0.3)
    assert not waiting.done()
    is_busy = False
    await busy
    await asyncio.wait_for(waiting, 1)


async def test_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(local_dispatch, "LAG_SECONDS", -1)  # never in time
    monkeypatch.setattr(local_dispatch, "PATIENCE_SECONDS", 0.4)
    began = time.monotonic()
    await asyncio.wait_for(local_dispatch._until_calm(), 2)
    assert time.monotonic() - began >= 0.4
