"""Jobs in the admin: what staff see, and their permissions."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from jobs.lifecycle import transitions
from jobs.lifecycle.transitions import Failure
from jobs.models import AiCall, AiJob
from llm import prices
from tests.support import Platform, password_hash, unique

LIST = "/admin/jobs/aijob/"
BUSY = Failure("upstream_busy", "Busy.", "HTTP 429 <slow down>", retryable=True)


@pytest.fixture
def admin(platform: Platform, staff):
    with platform.browser_session(staff) as client:
        yield client


@pytest.fixture
def looker(platform: Platform):
    """Staff with permission to view jobs only."""
    user = User.objects.create(username=unique("test-looker"), password=password_hash(), is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_aijob", "view_aicall"]))
    with platform.browser_session(user) as client:
        yield client


def text_of(response) -> str:
    assert response.status_code == 200, response.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.text))


def page(client, job: AiJob) -> str:
    return text_of(client.get(f"{LIST}{job.pk}/change/"))


def act(client, action: str, *jobs: AiJob) -> str:
    form = {"action": action, "_selected_action": [str(job.pk) for job in jobs]}
    return text_of(client.post(LIST, data=form, follow_redirects=True))


def status(job: AiJob) -> str:
    return AiJob.objects.get(pk=job.pk).status


def failed(engine) -> AiJob:
    """A job that was deferred once and then failed, with two calls."""
    job = engine.submit()
    transitions.defer(transitions.claim(job.pk, "w"), BUSY, timedelta())
    call = {"job": job, "purpose": "answer", "started_at": timezone.now(), "duration_ms": 4321, "first_token_ms": 765}
    AiCall.objects.create(
        attempt=1, model="gpt-4.1-mini", outcome="ok", input_tokens=70, output_tokens=30, cost=Decimal("0.5"), **call
    )
    AiCall.objects.create(attempt=2, model="mystery-1", outcome="cancelled", output_tokens=5, cost=None, **call)
    return transitions.fail(transitions.claim(job.pk, "w"), Failure("upstream_quota", "No.", "no credit"))


def test_list_filters_and_searches(admin, engine):
    job = failed(engine)
    AiJob.objects.filter(pk=job.pk).update(request_id="req-7")
    filters = ("", "?status__exact=failed", "?error_code=upstream_quota", f"?kind={job.kind}", f"?queue={job.queue}")
    searches = (f"?q={job.pk}", f"?q={str(job.pk)[:8]}", "?q=req-7", f"?q={job.owner.username[:-1].upper()}")
    for query in filters + searches:
        text = text_of(admin.get(LIST + query))
        assert str(job.pk)[:8] in text and "upstream_quota" in text, query
    for offered in ("?error_code=upstream_quota", "?kind=assistant.answer", "?queue=interactive"):
        assert f'href="{offered}"' in admin.get(LIST).text
    for query in ("?status__exact=completed", "?error_code=deadline", "?kind=assistant.answer", "?q=eq-7"):
        assert str(job.pk)[:8] not in text_of(admin.get(LIST + query)), query


@pytest.mark.parametrize("query", ["result__answer__startswith=c", "error_detail__contains=c", "owner__password=c"])
def test_hidden_columns_cannot_be_guessed_by_the_query_string(admin, engine, query):
    engine.submit(result={"answer": "canary"}, error_detail="canary")
    assert admin.get(f"{LIST}?{query}").status_code == 400


def test_list_of_a_day(admin, engine):
    job = engine.submit(created_at=timezone.now() - timedelta(days=1))
    today, yesterday = (f"?day={(timezone.now() - timedelta(days=days)).date()}" for days in (0, 1))
    assert f'href="{yesterday}"' in admin.get(LIST).text
    assert str(job.pk)[:8] in text_of(admin.get(LIST + yesterday))
    for query in (today, "?day=nonsense", "?day=9999-12-31"):
        assert str(job.pk)[:8] not in text_of(admin.get(LIST + query))


def test_page_of_a_job_shows_its_attempts_calls_and_cost(admin, engine):
    text = page(admin, failed(engine))
    assert re.search(r"1 0\.\d s 0\.\d s deferred upstream_busy HTTP 429 &lt;slow down&gt;", text)
    assert re.search(r"2 0\.\d s 0\.\d s failed upstream_quota no credit", text)
    assert "70 in, 35 out" in text
    assert f"0.500000 and 1 calls without a known price, by the prices of {prices.AS_OF}" in text
    assert "765" in text and "4321" in text


@pytest.mark.parametrize("state", ["pending", "running", "completed", "cancelled"])
def test_page_opens_in_every_state(admin, engine, state):
    job = engine.submit()
    if state != "pending":
        run = transitions.claim(job.pk, "w")
        if state == "completed":
            transitions.complete(run, {"answer": "Yes."}, lambda job, result: None)
        if state == "cancelled":
            transitions.cancel_run(run, None, lambda job, result: None)
    text = page(admin, job)
    assert state in text.lower() and "0 in, 0 out" in text


def test_page_of_a_visitors_job_opens(admin, engine):
    job = engine.submit(owner=None, visitor="a1b2c3d4e5")
    assert "visitor a1b2c3d4" in page(admin, job)


def test_question_and_answer_are_not_shown(admin, engine):
    job = engine.submit(result={"answer": "canary"})
    assert "canary" not in page(admin, job)


def test_retry_and_cancel(admin, engine):
    job = failed(engine)
    assert "1 job(s) queued again." in act(admin, "retry_jobs", job)
    assert status(job) == "pending"
    assert "1 job(s) cancelled." in act(admin, "cancel_jobs", job)
    assert status(job) == "cancelled"


def test_jobs_in_the_wrong_state_are_skipped_and_reported(admin, engine):
    waiting, ended = engine.submit(), failed(engine)
    text = act(admin, "retry_jobs", waiting, ended)
    assert "1 job(s) queued again." in text and "1 job(s) left alone: their state does not allow it." in text
    done = engine.run(engine.submit())
    assert "1 job(s) left alone" in act(admin, "cancel_jobs", done)
    assert status(done) == "completed"


def test_retry_is_reported_where_another_job_of_the_subject_is_active(admin, engine):
    old = transitions.fail(transitions.claim(engine.submit(subject="s").pk, "w"), BUSY)
    engine.submit(subject="s")
    assert "1 job(s) left alone" in act(admin, "retry_jobs", old)
    assert status(old) == "failed"


def test_staff_with_view_permission_see_everything_and_change_nothing(looker, engine):
    job = failed(engine)
    assert "upstream_quota" in page(looker, job)
    assert "retry_jobs" not in looker.get(LIST).text
    act(looker, "retry_jobs", job)
    assert status(job) == "failed"


def test_jobs_cannot_be_added_edited_or_deleted(admin, engine):
    job = failed(engine)
    for path in ("add/", f"{job.pk}/delete/"):
        assert admin.get(LIST + path).status_code == 403
    assert admin.post(f"{LIST}{job.pk}/change/", data={"status": "completed"}).status_code == 403
    assert status(job) == "failed"


def test_learners_are_sent_to_sign_in(platform: Platform, learner):
    with platform.browser_session(learner) as client:
        assert client.get(LIST).status_code == 302
