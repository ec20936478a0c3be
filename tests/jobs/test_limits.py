"""Backpressure: refusals have a status and Retry-After, and create nothing."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.utils import timezone

from accounts import people
from assistant.kinds import ANSWER
from conversations.models import Conversation
from jobs import limits
from jobs.lifecycle import transitions
from jobs.lifecycle.transitions import Failure
from jobs.limits import LimitReached
from jobs.models import AiCall, AiJob, Spent
from jobs.retention import PRUNING
from jobs.worker import call_log
from llm.calls import Call
from llm.errors import ErrorKind
from tests.support import error_of, run_pending


def post(client, course, **headers):
    body = {"courseId": course.slug, "question": "What is a key?"}
    return client.post("/api/assistant/query", json=body, headers=headers)


def long_ago():
    return timezone.now() - timedelta(seconds=200)


def spend(job, *, tokens=0, dollars="0", at=None):
    AiCall.objects.create(
        job=job,
        attempt=1,
        purpose="answer",
        model="m",
        outcome="ok",
        input_tokens=tokens,
        cost=Decimal(dollars),
        duration_ms=1,
        started_at=at or timezone.now(),
    )


def test_job_above_the_limit_is_refused_until_another_ends(engine, settings):
    settings.JOBS_PER_PERSON = 2
    engine.submit()
    last = engine.submit()
    with pytest.raises(LimitReached) as refused:
        limits.check_admission(engine.person, "interactive")
    assert (refused.value.code, refused.value.is_ours) == ("too_many_active", False)
    engine.run(last)
    limits.check_admission(engine.person, "interactive")


def test_retry_is_limited_too_except_for_staff(platform, learner, staff, engine):
    old = transitions.fail(transitions.claim(engine.submit().pk, "w"), Failure("internal", "No."))
    for _ in range(50):  # JOBS_PER_PERSON in the tests' settings
        engine.submit()
    with platform.client(learner) as client:
        error = error_of(client.post(f"/api/jobs/{old.pk}/retry"), 429)
    assert (error["code"], error["retryAfter"]) == ("too_many_active", limits.RETRY_SECONDS)
    assert AiJob.objects.get(pk=old.pk).status == "failed"
    with platform.client(staff) as client:
        assert client.post(f"/api/jobs/{old.pk}/retry").status_code == 202


def test_other_people_are_not_counted(engine, settings, stranger):
    settings.JOBS_PER_PERSON = 1
    engine.submit()
    limits.check_admission(people.from_user(stranger), "interactive")


def test_refusal_is_a_429_with_retry_after_and_creates_nothing(platform, learner, sql_course, engine):
    for _ in range(50):  # JOBS_PER_PERSON in the tests' settings
        engine.submit()
    with platform.client(learner) as client:
        response = post(client, sql_course)
    error = error_of(response, 429)
    assert error["code"] == "too_many_active"
    assert int(response.headers["Retry-After"]) == error["retryAfter"] > 0
    assert not Conversation.objects.filter(owner=learner).exists()


def test_concurrent_posts_cannot_exceed_the_limit(platform, learner, sql_course, engine):
    for _ in range(48):
        engine.submit()

    def ask(_):
        try:
            with platform.client(learner) as client:
                return post(client, sql_course).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        answers = sorted(threads.map(ask, range(6)))
    assert answers == [202, 202, 429, 429, 429, 429]


def test_repeated_idempotency_key_is_accepted_at_the_limit(platform, learner, sql_course, engine):
    with platform.client(learner) as client:
        first = post(client, sql_course, **{"Idempotency-Key": "k"})
        for _ in range(49):
            engine.submit()
        again = post(client, sql_course, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["jobId"]) == (202, first.json()["jobId"])


def test_full_backlog_is_a_503_with_retry_after(platform, learner, stranger, sql_course, engine):
    engine.submit(kind=ANSWER.name, run_after=long_ago())
    with platform.client(stranger) as client:
        response = post(client, sql_course)
    assert error_of(response, 503)["code"] == "saturated"
    assert int(response.headers["Retry-After"]) >= 5


HELD = {
    "in quarantine": {"crashes": transitions.QUARANTINED},
    "its model is paused": {"error_code": ErrorKind.PAUSED.value.code},
    "of a kind that only a newer release knows": {"kind": "newer.kind"},
    "in a queue that only a newer release knows": {"queue": "newer"},
    "deferred": {"run_after": timezone.now() + timedelta(hours=1)},
}


@pytest.mark.parametrize("why", HELD)
def test_jobs_that_wait_for_something_else_than_a_worker_are_no_backlog(platform, stranger, sql_course, engine, why):
    for _ in range(2):
        engine.submit(**{"kind": ANSWER.name, "run_after": long_ago(), "enqueued_at": None, **HELD[why]})
    assert limits.expected_wait("interactive") == timedelta()
    with platform.client(stranger) as client:
        assert post(client, sql_course).status_code == 202
        figures = client.get("/metrics").text
    held = sum(float(n) for n in re.findall(r'course_ai_jobs_waiting{.*state="(?:held|deferred)"} (\S+)', figures))
    assert held == 2
    assert re.search(r'course_ai_oldest_job_seconds{queue="interactive"} 0\.\d*\n', figures)


def test_job_that_waits_for_the_next_sweep_is_no_backlog(engine, settings):
    settings.JOBS_SWEEP_SECONDS = 10
    job = engine.submit(kind=ANSWER.name, run_after=timezone.now() - timedelta(seconds=15), enqueued_at=None)
    assert limits.expected_wait(job.queue) == timedelta()
    AiJob.objects.filter(pk=job.pk).update(run_after=timezone.now() - timedelta(seconds=25))
    assert limits.expected_wait(job.queue) > timedelta(seconds=20)


def test_wait_is_measured_by_the_clock_of_postgres(engine, monkeypatch):
    engine.submit(kind=ANSWER.name, run_after=timezone.now() - timedelta(seconds=30))
    ahead = timezone.now() + timedelta(minutes=10)
    monkeypatch.setattr(timezone, "now", lambda: ahead)
    assert 29 < limits.expected_wait("interactive").total_seconds() < 60


def backlog(begun, waited, ready, oldest):
    """Jobs started in the last ten seconds after this wait, and jobs ready to run, the oldest for this long."""
    now = timezone.now()
    jobs = AiJob.objects.bulk_create(AiJob(kind="assistant.answer", queue="interactive") for _ in range(begun + ready))
    for number, job in enumerate(jobs[:begun]):
        job.status, job.started_at = AiJob.Status.COMPLETED, now - timedelta(seconds=10 * (1 - number / begun))
        job.created_at = job.started_at - timedelta(seconds=waited)
    for number, job in enumerate(jobs[begun:]):
        job.run_after = job.created_at = now - timedelta(seconds=oldest * (1 - number / ready))
    AiJob.objects.bulk_update(jobs, ["status", "started_at", "created_at", "run_after"])


@pytest.mark.parametrize(
    ("begun", "waited", "ready", "oldest", "expected"),
    [
        pytest.param(20, 6, 100, 5, 50, id="two a second, 100 to go"),
        pytest.param(20, 6, 4, 5, 5, id="the oldest has waited longer than the others will"),
        pytest.param(5, 6, 100, 5, 5, id="too few tell how fast it goes"),
        pytest.param(20, 0, 100, 5, 5, id="these were begun as soon as somebody asked: workers were idle"),
        pytest.param(20, 6, 20, 0.1, 0.1, id="nobody has to wait yet"),
    ],
)
def test_wait_is_estimated_from_the_rate_of_job_starts(engine, begun, waited, ready, oldest, expected):
    backlog(begun, waited, ready, oldest)
    assert limits.expected_wait("interactive").total_seconds() == pytest.approx(expected, rel=0.4, abs=0.8)
    assert limits.expected_wait("default") == timedelta()


def test_question_with_a_too_long_estimated_wait_is_refused(engine, settings, stranger):
    settings.JOBS_MAX_WAIT_SECONDS = 20
    backlog(begun=20, waited=6, ready=100, oldest=5)
    with pytest.raises(LimitReached) as refused:
        limits.check_admission(people.from_user(stranger), "interactive")
    assert (refused.value.code, refused.value.is_ours) == ("saturated", True)
    assert refused.value.retry_after == pytest.approx(30, rel=0.4)


def test_deferred_jobs_do_not_count_as_backlog(engine):
    engine.submit(run_after=timezone.now() + timedelta(hours=1))
    assert limits.expected_wait("interactive") == timedelta()


def test_jobs_paused_by_the_breaker_do_not_count_as_backlog(engine):
    job = engine.submit(run_after=timezone.now() - timedelta(hours=1))
    assert limits.expected_wait("interactive") >= timedelta(hours=1)
    AiJob.objects.filter(pk=job.pk).update(error_code=ErrorKind.PAUSED.value.code)
    assert limits.expected_wait("interactive") == timedelta()


@pytest.mark.parametrize(("name", "spent"), [("TOKENS", {"tokens": 100}), ("DOLLARS", {"dollars": "0.5"})])
def test_used_up_personal_budget_refuses_new_jobs(engine, settings, stranger, name, spent):
    setattr(settings, f"BUDGET_PERSON_{name}", Decimal("0.5") if name == "DOLLARS" else 100)
    job = engine.run(engine.submit())
    limits.check_budgets(engine.person)
    spend(job, **spent)
    with pytest.raises(LimitReached) as refused:
        limits.check_budgets(engine.person)
    assert 0 < refused.value.retry_after <= 24 * 3600
    limits.check_budgets(people.from_user(stranger))


def test_used_up_budget_does_not_stop_jobs_without_calls(engine, settings):
    settings.BUDGET_TOTAL_TOKENS = 100
    spend(engine.submit(), tokens=100)
    assert run_pending(PRUNING.name, {}).status == "completed"


def test_yesterdays_calls_are_not_counted(engine, settings):
    settings.BUDGET_PERSON_TOKENS = 100
    spend(engine.submit(), tokens=1000, at=timezone.now() - timedelta(days=1))
    limits.check_budgets(engine.person)


def test_sums_hold_every_call_however_it_was_written_and_stay_when_it_is_deleted(engine, settings, stranger):
    settings.BUDGET_PERSON_TOKENS = 1000
    job = engine.submit()
    calls = [
        AiCall(job=job, attempt=1, purpose="p", model="m", outcome="ok", input_tokens=n, output_tokens=1,
               cost=Decimal("0.1"), duration_ms=1, started_at=timezone.now())
        for n in range(10)
    ]  # fmt: skip
    AiCall.objects.bulk_create(calls)
    spend(job, tokens=45)
    today = limits.midnight().date()
    for scope in (Spent.ALL, Spent.by(engine.person), Spent.of_kind(job.kind)):
        spent = Spent.objects.get(day=today, scope=scope)
        assert (spent.tokens, spent.dollars) == (100, Decimal("1.0")), scope
    AiJob.objects.filter(pk=job.pk).delete()
    assert limits.left_today(engine.person) == pytest.approx(0.9)
    assert limits.left_today(people.from_user(stranger)) == 1


def test_concurrent_batches_of_calls_are_all_added_up(engine):
    jobs = [engine.submit() for _ in range(4)]

    def write(number):
        try:
            # Batches in opposite orders: whoever locks the sums in another order than the others deadlocks.
            batch = sorted(jobs, key=lambda job: job.pk, reverse=bool(number % 2))
            call_log.insert([call_log.LoggedCall(job, ended_call()) for job in batch])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(40)))
    assert (
        Spent.objects.get(scope=Spent.ALL).tokens
        == 160 * 120
        == Spent.objects.get(scope=Spent.by(engine.person)).tokens
    )


def ended_call():
    call = Call("answer", "gpt-4.1-mini", "What is NULL?")
    call.got_usage({"prompt_tokens": 100, "completion_tokens": 20})
    call.end("ok")
    return call


def test_platform_budget_applies_to_everybody(engine, settings, stranger):
    settings.BUDGET_TOTAL_DOLLARS = Decimal("1")
    spend(engine.submit(), dollars="1")
    with pytest.raises(LimitReached) as refused:
        limits.check_budgets(people.from_user(stranger))
    assert refused.value.is_ours


def test_budget_used_up_while_a_job_waited_prevents_its_calls(engine, settings):
    worked = []

    async def work(run):
        worked.append(True)
        return {}

    engine.work(work)
    settings.BUDGET_PERSON_TOKENS = 100
    job = engine.submit()
    spend(job, tokens=100)
    job = engine.run(job)
    assert (job.status, job.error_code, worked) == ("failed", "budget", [])
    assert "midnight" in job.error_message


def test_remaining_daily_budget_is_reported(api, engine, settings):
    assert limits.left_today(engine.person) is None
    assert api.get("/api/quota").json()["left"] is None  # the web process has no budgets
    settings.BUDGET_PERSON_TOKENS = 100
    settings.BUDGET_PERSON_DOLLARS = Decimal("1")
    assert limits.left_today(engine.person) == 1
    spend(engine.submit(), tokens=20, dollars="0.6")
    assert limits.left_today(engine.person) == pytest.approx(0.4)  # the lower of the two
    spend(engine.submit(), tokens=500)
    assert limits.left_today(engine.person) == 0


@pytest.mark.parametrize("budget", ["BUDGET_PERSON_DOLLARS", "BUDGET_TOTAL_DOLLARS", "BUDGET_LANDING_DOLLARS"])
def test_worker_refuses_to_start_with_a_money_budget_and_unknown_prices(settings, budget):
    settings.LLM_FAST_MODEL = "unheard-of"
    call_command("check")
    setattr(settings, budget, Decimal(5))
    with pytest.raises(SystemCheckError, match=f"{budget}: no price is known for unheard-of"):
        call_command("check")
