"""Retention deletes old rows only, and neither their results nor the totals."""

import threading
from datetime import timedelta
from importlib import import_module
from io import StringIO

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import WsTicket, issue_ticket
from conversations.models import Conversation, Message
from jobs import retention
from jobs.backends.faults import Faults
from jobs.lifecycle import transitions
from jobs.models import AiCall, AiJob, Total
from jobs.monitoring import totals
from jobs.worker import sweeper
from tests.support import ask, run_pending, wait_for

LONG_AGO = timezone.now() - timedelta(days=91)
RECENTLY = timezone.now() - timedelta(days=89)


@pytest.fixture(autouse=True)
def _nothing_expired(_database):
    """Delete tickets and sessions that other tests left behind."""
    WsTicket.objects.all().delete()
    Session.objects.all().delete()


@pytest.fixture
def ended(engine):
    """Creates an old, ended job that is included in the totals."""

    def make(**fields):
        values = {"status": "completed", "created_at": LONG_AGO, "finished_at": LONG_AGO, **fields}
        return engine.submit(**values)

    return make


def add_call(job, **fields):
    values = {"attempt": 1, "purpose": "answer", "model": "test-model", "outcome": "ok", "duration_ms": 5}
    return AiCall.objects.create(job=job, started_at=LONG_AGO, input_tokens=10, cost="0.5", **values, **fields)


def spent():
    return Total.objects.get(name=totals.COST.name, labels=["test-model"]).value


def exists(job):
    return AiJob.objects.filter(pk=job.pk).exists()


def prunings():
    return AiJob.objects.filter(kind=retention.PRUNING.name)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_old_ended_jobs_are_deleted_with_their_calls(ended, status):
    old, young = ended(status=status), ended(status=status, finished_at=RECENTLY)
    call, other = add_call(old, is_counted=True), add_call(young, is_counted=True)
    assert retention.delete_jobs() == 1
    assert (exists(old), exists(young)) == (False, True)
    assert list(AiCall.objects.filter(pk__in=[call.pk, other.pk])) == [other]


@pytest.mark.parametrize("status", ["pending", "running"])
def test_unfinished_jobs_of_any_age_stay(ended, status):
    job = ended(status=status, finished_at=None)
    assert retention.delete_jobs() == 0
    assert exists(job)


def test_conversation_keeps_its_messages(api, learner, sql_course, ended):
    conversation = Conversation.objects.create(surface="assistant", owner=learner, course=sql_course, title="Old")
    job = ended()
    for role, text in (("user", "What is NULL?"), ("assistant", "Nothing.")):
        Message.objects.create(conversation=conversation, role=role, text=text, job=job)
    retention.delete_jobs()
    messages = api.get(f"/api/conversations/{conversation.pk}").json()["messages"]
    assert [(m["text"], m["jobId"]) for m in messages] == [("What is NULL?", None), ("Nothing.", None)]


def test_jobs_stay_until_they_are_in_the_totals(ended):
    moved, paid = ended(uncounted=1, history=[{"attempt": 1, "outcome": "completed"}]), ended()
    add_call(paid)
    assert retention.delete_jobs() == 0
    while totals.count(Faults()):
        pass
    before = spent()
    assert retention.delete_jobs() == 2
    assert not (exists(moved) or exists(paid))
    assert spent() == before >= 0.5


def test_job_being_retried_concurrently_stays(ended):
    job, other = ended(status="failed"), ended()
    with transaction.atomic():
        assert transitions.retry(job)
        thread = threading.Thread(target=_in_a_thread, args=(retention.delete_jobs,))
        thread.start()
        thread.join(5)
        assert not thread.is_alive()  # it did not wait for the row lock
    assert (exists(job), exists(other)) == (True, False)


def _in_a_thread(work):
    try:
        work()
    finally:
        connection.close()


def test_rows_are_deleted_in_batches(ended, monkeypatch):
    monkeypatch.setattr(retention, "DELETE_BATCH", 2)
    jobs = [ended() for _ in range(5)]
    assert retention.delete_jobs() == 2
    output = StringIO()
    call_command("prune_jobs", stdout=output)
    assert "3 jobs deleted." in output.getvalue()
    assert not any(map(exists, jobs))


def test_only_expired_sessions_and_tickets_are_deleted(learner, client):
    client.force_login(learner)
    store = import_module(settings.SESSION_ENGINE).SessionStore
    for age in (-1, 1):
        session = store()
        session.set_expiry(timezone.now() - timedelta(days=age))
        session.save()
    issue_ticket(learner)
    WsTicket.objects.create(hash="old", user=learner, expires_at=timezone.now() - timedelta(seconds=1))
    assert (retention.delete_sessions(), retention.delete_tickets()) == (1, 1)
    assert (Session.objects.count(), WsTicket.objects.count()) == (2, 1)
    assert client.get("/courses/").status_code == 200


@pytest.mark.parametrize("days", [0, -5])
def test_nothing_younger_than_a_day_is_ever_deleted(ended, settings, days):
    settings.JOBS_KEEP_DAYS = days
    job = ended(finished_at=timezone.now() - timedelta(hours=23))
    assert retention.delete_jobs() == 0
    assert exists(job)


class TestDaily:
    def test_no_job_is_submitted_without_old_rows(self, ended):
        ended(finished_at=RECENTLY)
        sweeper.submit_pruning()
        assert not prunings().exists()

    def test_many_workers_submit_one_job(self, ended):
        ended()
        sweeper.submit_pruning()
        sweeper.submit_pruning()
        assert prunings().count() == 1

    def test_concurrent_sweepers_submit_one_job(self, ended):
        ended()
        start = threading.Barrier(4)
        threads = [threading.Thread(target=_in_a_thread, args=(lambda: _look(start),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert prunings().count() == 1

    def test_next_job_follows_a_day_after_the_last_completed_one(self, ended):
        job = run_pending(retention.PRUNING.name, {})
        assert (job.status, job.result) == ("completed", {part.name: 0 for part in retention.parts()})
        ended()
        for age, expected in ((timedelta(hours=23), 1), (timedelta(hours=25), 2)):
            AiJob.objects.filter(pk=job.pk).update(created_at=timezone.now() - age)
            sweeper.submit_pruning()
            assert prunings().count() == expected

    def test_failed_job_is_followed_by_another_after_an_hour(self, ended):
        ended()
        sweeper.submit_pruning()
        for age, expected in ((timedelta(minutes=59), 1), (timedelta(minutes=61), 2)):
            failed = prunings().order_by("created_at").first()
            AiJob.objects.filter(pk=failed.pk).update(status="failed", created_at=timezone.now() - age)
            sweeper.submit_pruning()
            assert prunings().count() == expected

    def test_worker_prunes_automatically(self, platform, api, sql_course, ended):
        old = [ended() for _ in range(3)]
        with platform.worker():
            young = ask(api, sql_course)["jobId"]
            wait_for(lambda: prunings().filter(status="completed").exists())
            wait_for(lambda: AiJob.objects.get(pk=young).status == "completed")
        assert not any(map(exists, old))
        assert prunings().get().result == {part.name: 0 for part in retention.parts()} | {"jobs": 3}


def _look(start):
    start.wait()
    sweeper.submit_pruning()
