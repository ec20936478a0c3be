"""Jobs over HTTP: reading, cancelling, retrying."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.core.signing import Signer

from accounts.people import VISITOR_COOKIE
from jobs.models import AiJob
from tests.support import Platform, ask, error_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AT = "2026-01-02T03:04:05Z"
LATER = NOW.replace(year=2100)
ALWAYS = {"jobId", "kind", "status", "attempt", "createdAt"}
CITATION = {"n": 1, "lessonId": "7", "title": "Joins", "heading": "LEFT JOIN"}
ANSWER = {"answer": "So [1].", "citations": [CITATION]}
REASONS = {"error_code": "upstream_busy", "error_message": "Busy.", "error_detail": "org-secret", "retryable": True}


def make(owner=None, status="pending", **fields):
    """Create a job in the state that its runs would have left."""
    row = {"kind": "assistant.answer", "queue": "interactive", "owner": owner, "status": status}
    hidden = {"payload": {"messageId": "1"}, "idempotency_key": "private-key" if owner else None}
    return AiJob.objects.create(**row | hidden | fields)


def look(client, job):
    response = client.get(f"/api/jobs/{job.pk}")
    assert response.status_code == 200, response.text
    return response.json()


STATES = {
    "pending": ({"status": "pending"}, {}),
    "waiting to be tried again": (
        {"status": "pending", "attempt": 2, "started_at": NOW, "run_after": LATER, **REASONS},
        {
            "startedAt": AT,
            "retryAt": AT.replace("2026", "2100"),
            "error": {"code": "upstream_busy", "message": "Busy."},
        },
    ),
    "running": ({"status": "running", "attempt": 1, "started_at": NOW}, {"startedAt": AT}),
    "completed": (
        {"status": "completed", "attempt": 2, "started_at": NOW, "finished_at": NOW, "result": ANSWER, **REASONS},
        {"startedAt": AT, "finishedAt": AT, **ANSWER},
    ),
    "completed with a structured result": (
        {
            "kind": "assistant.embedding",
            "status": "completed",
            "attempt": 1,
            "started_at": NOW,
            "finished_at": NOW,
            "result": {"embedded": 3},
        },
        {"startedAt": AT, "finishedAt": AT, "result": {"embedded": 3}},
    ),
    "failed": (
        {"status": "failed", "attempt": 5, "started_at": NOW, "finished_at": NOW, **REASONS},
        {"startedAt": AT, "finishedAt": AT, "error": {"code": "upstream_busy", "message": "Busy."}, "retryable": True},
    ),
    "cancelled while waiting": ({"status": "cancelled", "finished_at": NOW}, {"finishedAt": AT}),
    "cancelled in mid-answer": (
        {"status": "cancelled", "attempt": 1, "finished_at": NOW, "result": {"answer": "So", "citations": []}},
        {"finishedAt": AT, "answer": "So", "citations": []},
    ),
}


@pytest.mark.parametrize(("fields", "expected"), STATES.values(), ids=STATES)
def test_job_shows_only_its_set_public_fields(api, learner, fields, expected):
    job = make(learner, **fields)
    shown = look(api, job)
    always = {key: shown.pop(key) for key in ALWAYS}
    assert shown == expected
    assert (always["jobId"], always["status"], always["attempt"]) == (str(job.pk), job.status, job.attempt)
    assert always["kind"] == job.kind


@pytest.mark.parametrize("action", ["", "/events", "/cancel", "/retry"])
def test_job_of_somebody_else_is_404(platform: Platform, learner, stranger, action):
    job = make(learner, "failed")
    with platform.client(stranger) as client:
        response = client.request("POST" if action in ("/cancel", "/retry") else "GET", f"/api/jobs/{job.pk}{action}")
    assert error_of(response, 404)["code"] == "not_found"
    assert AiJob.objects.get(pk=job.pk).status == "failed"


def test_job_without_owner_is_404_except_for_staff(api, platform: Platform, staff):
    job = make(None)
    error_of(api.get(f"/api/jobs/{job.pk}"), 404)
    with platform.client(staff) as client:
        look(client, job)


@pytest.mark.parametrize("job_id", ["x", "1", str(uuid.UUID(int=7)), "%00", "%ff", "0" * 33, "%D9%A1", "a/b"])
def test_unknown_job_is_404(api, job_id):
    error_of(api.get(f"/api/jobs/{job_id}"), 404)


@pytest.mark.parametrize("action", ["", "/events"])
def test_anonymous_request_is_401(anonymous, learner, action):
    error_of(anonymous.get(f"/api/jobs/{make(learner).pk}{action}"), 401)


def test_staff_see_and_act_on_every_job(platform: Platform, staff, learner):
    job = make(learner, "failed", attempt=1)
    with platform.client(staff) as client:
        assert look(client, job)["status"] == "failed"
        assert client.post(f"/api/jobs/{job.pk}/retry").status_code == 202
        assert client.post(f"/api/jobs/{job.pk}/cancel").status_code == 200


def test_visitor_sees_their_own_job_only(platform: Platform, anonymous):
    mine, theirs = make(visitor="a1b2"), make(visitor="c3d4")
    anonymous.cookies.set("visitor", Signer(salt=VISITOR_COOKIE).sign("a1b2"))
    assert look(anonymous, mine)["jobId"] == str(mine.pk)
    error_of(anonymous.get(f"/api/jobs/{theirs.pk}"), 404)


def test_forged_visitor_cookie_is_anonymous(anonymous):
    anonymous.cookies.set("visitor", "a1b2")
    error_of(anonymous.get(f"/api/jobs/{make(visitor='a1b2').pk}"), 401)


def test_pending_job_is_cancelled_at_once(api, sql_course):
    job = ask(api, sql_course)
    response = api.post(job["links"]["cancel"])
    assert (response.status_code, response.json()["status"]) == (200, "cancelled")
    assert "finishedAt" in response.json()


def test_running_job_is_asked_to_stop(api, learner):
    job = make(learner, "running", attempt=1, lease_until=datetime.now(UTC) + timedelta(minutes=1))
    response = api.post(f"/api/jobs/{job.pk}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "running")
    assert AiJob.objects.get(pk=job.pk).cancel_requested


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_ended_job_cannot_be_cancelled(api, learner, status):
    job = make(learner, status)
    assert error_of(api.post(f"/api/jobs/{job.pk}/cancel"), 409)["code"] == "already_ended"
    assert AiJob.objects.get(pk=job.pk).status == status


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_failed_or_cancelled_job_can_be_retried(api, learner, status):
    job = make(learner, status, attempt=3, finished_at=NOW, **REASONS)
    response = api.post(f"/api/jobs/{job.pk}/retry")
    shown = response.json()
    assert (response.status_code, shown["status"], shown["jobId"]) == (202, "pending", str(job.pk))
    assert response.headers["Location"] == f"/api/jobs/{job.pk}"
    assert not {"error", "finishedAt", "retryAt", "answer"} & set(shown)


@pytest.mark.parametrize("status", ["pending", "running", "completed"])
def test_active_or_completed_job_cannot_be_retried(api, learner, status):
    job = make(learner, status)
    assert error_of(api.post(f"/api/jobs/{job.pk}/retry"), 409)["code"] == "not_retryable"
    assert AiJob.objects.get(pk=job.pk).status == status


def test_old_question_cannot_be_retried_while_the_next_is_being_answered(api, sql_course):
    first = ask(api, sql_course)
    api.post(first["links"]["cancel"])
    ask(api, sql_course, "Another?", conversationId=first["conversationId"])
    assert error_of(api.post(f"{first['links']['self']}/retry"), 409)["code"] == "busy"
    assert look(api, AiJob.objects.get(pk=first["jobId"]))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("action", "method"), [("", "POST"), ("/events", "POST"), ("/cancel", "GET"), ("/retry", "GET")]
)
def test_other_methods_are_405(api, learner, action, method):
    error_of(api.request(method, f"/api/jobs/{make(learner).pk}{action}"), 405)


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_cancel_and_retry_with_a_session_need_the_csrf_token(platform: Platform, learner, action):
    job = make(learner, "failed")
    with platform.browser_session(learner) as browser:
        error_of(browser.post(f"/api/jobs/{job.pk}/{action}", headers={"X-CSRFToken": ""}), 403)
    assert AiJob.objects.get(pk=job.pk).status == "failed"
