"""Submission creates one row and one queue entry, or nothing."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connection, transaction

from jobs import kinds, submission
from jobs.backends import queues
from jobs.lifecycle import sql
from jobs.models import AiJob
from jobs.submission import KeyReused, SubjectBusy
from tests.support import wait_for


def entries():
    return [entry for name in settings.JOBS_QUEUES for entry in queues._queue(name).get_job_ids()]


def test_submitted_job_is_in_its_queue_once(engine):
    job = engine.submit()
    assert entries() == [f"{job.pk}-1"]
    assert queues.enqueue(job)
    assert entries() == [f"{job.pk}-1"]


def test_queue_entry_holds_the_id_and_nothing_else(engine):
    job = engine.submit()
    entry = queues._queue("interactive").fetch_job(job.rq_id)
    assert (entry.func_name, entry.args, entry.kwargs) == ("jobs.tasks.run_job", [str(job.pk)], {})


def test_rolled_back_transaction_leaves_no_job_and_no_entry(engine):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        submission.submit(submission.Submission(engine.person), kinds.get("test.work"), {})
        raise ZeroDivisionError
    assert entries() == []
    assert not AiJob.objects.exists()


def test_same_key_and_body_give_the_same_job(engine):
    first = engine.submit(key="k", body={"q": 1})
    assert engine.submit(key="k", body={"q": 1}) == first
    assert AiJob.objects.count() == 1


def test_same_key_with_another_body_is_refused(engine):
    engine.submit(key="k", body={"q": 1})
    with pytest.raises(KeyReused):
        engine.submit(key="k", body={"q": 2})


def test_concurrent_submissions_with_the_same_key_create_one_job(engine):
    def submit(_):
        try:
            return engine.submit(key="k").pk
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        jobs = set(threads.map(submit, range(8)))
    assert len(jobs) == 1
    assert AiJob.objects.count() == 1


def test_busy_subject_is_refused_with_the_active_job(engine):
    active = engine.submit(subject="s")
    with pytest.raises(SubjectBusy) as refused:
        engine.submit(subject="s")
    assert refused.value.active == active
    assert AiJob.objects.count() == 1


def test_job_is_accepted_while_redis_is_down(engine, monkeypatch):
    def refuse(*args, **kwargs):
        raise queues.RedisError("away")

    monkeypatch.setattr(queues.Queue, "enqueue_call", refuse)
    job = engine.submit()
    assert AiJob.objects.get(pk=job.pk).status == "pending"


def test_busy_subject_does_not_break_the_callers_transaction(engine):
    first = engine.submit(subject="s")
    with transaction.atomic():
        with pytest.raises(SubjectBusy) as busy:
            submission.submit(submission.Submission(engine.person), kinds.get("test.work"), {}, subject="s")
        other = submission.submit(submission.Submission(engine.person), kinds.get("test.work"), {}, subject="t")
    assert busy.value.active == first
    assert set(AiJob.objects.values_list("pk", flat=True)) == {first.pk, other.pk}


def test_subject_that_becomes_free_concurrently_is_used(engine, monkeypatch):
    first = engine.submit(subject="s")
    insert, tries = sql.insert, []

    def ended_meanwhile(job):
        tries.append(insert(job))
        AiJob.objects.filter(pk=first.pk).update(status=AiJob.Status.COMPLETED)
        return tries[-1]

    monkeypatch.setattr(sql, "insert", ended_meanwhile)
    assert engine.submit(subject="s") != first
    assert tries == [False, True]


def test_hanging_redis_is_not_tried_again_immediately(engine, hanging_redis):
    job = engine.submit()
    with hanging_redis():
        assert not queues.enqueue(job)
        began = time.monotonic()
        assert not any(queues.enqueue(job) for _ in range(20))
        assert time.monotonic() - began < 0.2
    wait_for(lambda: queues.enqueue(job), 3)
