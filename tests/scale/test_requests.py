"""What people's requests and their jobs' runs read does not grow with the number of old jobs."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client

from conversations.models import Conversation, Message
from jobs.models import AiJob
from tests.lab import past
from tests.scale.conftest import browser_of
from tests.support import Json, perform, unique
from tutors.models import Draft

BUDGETS = ("PERSON_TOKENS", "PERSON_DOLLARS", "TOTAL_TOKENS", "TOTAL_DOLLARS", "LANDING_TOKENS", "LANDING_DOLLARS")


@pytest.fixture(params=["without budgets", "with budgets"], autouse=True)
def budgets(request, settings) -> None:
    for name in BUDGETS:
        value = 10**9 if request.param == "with budgets" else 0
        setattr(settings, f"BUDGET_{name}", Decimal(value) if name.endswith("DOLLARS") else value)
    settings.METRICS_TOKEN = "t"
    settings.JOBS_MAX_WAIT_SECONDS = 10**6  # no worker runs those that are ready


def send(client: Client, method: str, path: str, body: Json | None = None, **headers: str):
    return getattr(client, method)(path, body or {}, content_type="application/json", headers=headers)


def accepted(response) -> Json:
    assert response.status_code == 202, response.content
    return response.json()


def visitor() -> Client:
    client = Client(HTTP_HOST="localhost")
    client.visitor = unique("visitor")
    return client


def test_question_to_the_assistant_from_post_to_deletion(recorder, browser, course, simulator):
    query = {"courseId": course.slug, "question": "What is NULL?"}
    with recorder.recording():
        first = accepted(send(browser, "post", "/api/assistant/query", query, **{"Idempotency-Key": unique("key")}))
        perform(first["jobId"])
        assert browser.get(first["links"]["self"]).json()["status"] == "completed"
        more = query | {"conversationId": first["conversationId"]}
        key = {"Idempotency-Key": unique("key")}
        second = accepted(send(browser, "post", "/api/assistant/query", more, **key))
        assert accepted(send(browser, "post", "/api/assistant/query", more, **key))["jobId"] == second["jobId"]
        assert send(browser, "post", "/api/assistant/query", more).status_code == 409
        assert send(browser, "post", second["links"]["cancel"]).status_code == 200
        accepted(send(browser, "post", second["links"]["self"] + "/retry"))
        perform(second["jobId"])
        for job in AiJob.objects.active().filter(subject=f"conversation:{first['conversationId']}"):
            perform(job.pk)
        conversation = f"/api/conversations/{first['conversationId']}"
        assert len(browser.get(conversation).json()["messages"]) == 4
        rating = f"{conversation}/messages/{second['messageId']}/rating"
        assert send(browser, "put", rating, {"rating": "up"}).status_code == 200
        assert send(browser, "patch", conversation, {"title": "Nothing"}).status_code == 200
        assert browser.get(f"{conversation}/export").status_code == 200
        assert browser.delete(conversation).status_code == 204


def test_lists_of_a_person(recorder, browser, course):
    with recorder.recording():
        assert browser.get("/api/quota").status_code == 200
        for query in ("", "?surface=assistant", f"?courseId={course.slug}", "?limit=5&offset=10"):
            assert browser.get(f"/api/conversations{query}").status_code == 200
        for page in ("/courses/", f"/courses/{course.slug}/", f"/courses/{course.slug}/assistant/"):
            assert browser.get(page).status_code == 200


def test_visitor_asks_and_writes(recorder, loaded):
    client = Client(HTTP_HOST="localhost")
    question = {"question": "How much is the SQL course?"}
    with recorder.recording():
        first = accepted(send(client, "post", "/api/landing-assistant/query", question, **{"Idempotency-Key": "k"}))
        perform(first["jobId"])
        assert client.get(first["links"]["self"]).json()["status"] == "completed"
        more = question | {"conversationId": first["conversationId"]}
        second = accepted(send(client, "post", "/api/landing-assistant/query", more, **{"Idempotency-Key": "l"}))
        assert send(client, "post", second["links"]["cancel"]).status_code == 200
        accepted(send(client, "post", second["links"]["self"] + "/retry"))
        letter = {"email": "a@example.org", "message": "Call me.", "conversationId": first["conversationId"]}
        assert send(client, "post", "/api/landing-assistant/contact", letter).status_code == 201
        assert client.get("/api/conversations").status_code == 200
        assert client.delete(f"/api/conversations/{first['conversationId']}").status_code == 204


def test_tutor_asks_and_works_on_drafts(recorder, browser, somebody, course):
    api = f"/api/tutors/courses/{course.slug}"
    questions = Message.objects.filter(conversation__course=course, conversation__surface="assistant", role="user")
    draft = Draft.objects.filter(course=course, state="draft").first()
    with recorder.recording(most_rows=2 * past.PEOPLE):  # the names of all learners of the course are masked
        asked = questions.order_by("-pk").values_list("pk", flat=True)[100]
        for more in ({"intent": "struggles"}, {"intent": "reply", "questionId": str(asked)}):
            job = accepted(send(browser, "post", f"{api}/copilot", {"question": "What is hard?", **more}))
            perform(job["jobId"])
        assert browser.get(f"{api}/insights").json()["questions"]
        assert (
            browser.get(f"{api}/drafts").status_code == browser.get(f"{api}/drafts?status=accepted").status_code == 200
        )
        rewrite = accepted(send(browser, "post", f"{api}/drafts/{draft.pk}/regenerate", {"instruction": "Shorter."}))
        perform(rewrite["jobId"])
        assert browser.get(f"/tutor/courses/{course.slug}/").status_code == 200


def test_learner_answers_the_questionnaire(recorder, browser, somebody):
    from tests.personas.conftest import MAKER

    with recorder.recording():
        answers = {"answers": MAKER}
        job = accepted(send(browser, "post", "/api/personas/profile", answers))
        perform(job["jobId"])
        assert browser.get("/api/personas/profile").status_code == 200
        assert browser.delete("/api/personas/profile").status_code == 204


@pytest.mark.parametrize("surface", ["assistant", "landing", "tutors"])
def test_old_conversation_is_deleted(recorder, surface):
    from conversations import actions

    conversation = Conversation.objects.filter(surface=surface).order_by("created_at")[5]
    with recorder.recording():
        actions.delete(conversation)


def test_person_is_deleted(recorder, somebody):
    assert somebody.ai_jobs.count() > 10
    with recorder.recording():
        User.objects.get(pk=somebody.pk).delete()


def test_ticket_is_issued(recorder, somebody):
    client = browser_of(somebody)
    with recorder.recording():
        assert send(client, "post", "/api/ws-ticket").status_code == 200


def test_metrics_and_readiness(recorder):
    with recorder.recording():
        assert Client().get("/metrics", headers={"Authorization": "Bearer t"}).status_code == 200
        Client().get("/readyz")
