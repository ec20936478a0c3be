"""Requests that the assistant's API refuses, and their status codes."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from conversations.models import Conversation, Message
from courses.models import Enrollment
from jobs.models import AiJob
from tests.support import Platform, ask, error_of

URL = "/api/assistant/query"
JSON = {"Content-Type": "application/json"}
QUESTION = "What does COALESCE return?"


def post(client, body, **headers):
    """POST bytes unchanged, anything else as JSON with \\u escapes, which can hold text that UTF-8 cannot."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(URL, content=content, headers=JSON | headers)


@pytest.fixture
def body(sql_course):
    return {"courseId": sql_course.slug, "question": QUESTION}


@pytest.fixture
def nothing_created():
    """Assert after the test that no job, conversation or message was created."""
    yield
    assert not AiJob.objects.exists() and not Conversation.objects.exists() and not Message.objects.exists()


BAD_QUESTIONS = {
    "empty": "",
    "blank": " \t\n ",
    "4,001 characters": "x" * 4001,
    "NUL": "What is \0?",
    "lone surrogate": "What is \ud800?",
    "null": None,
    "a list": ["What?"],
    "an object": {"text": "What?"},
    "true": True,
}


@pytest.mark.parametrize("question", BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_bad_question_is_400(api, body, question, nothing_created):
    error = error_of(post(api, body | {"question": question}), 400)
    assert error["code"] == "invalid" and list(error["details"]) == ["question"]


@pytest.mark.parametrize("field", ["question", "courseId"])
def test_missing_field_is_400(api, body, field, nothing_created):
    del body[field]
    assert list(error_of(post(api, body), 400)["details"]) == [field]


def test_question_of_4000_characters_is_accepted_unchanged(api, body):
    question = "é🐝" * 2000
    response = post(api, body | {"question": f"  {question}\n"})
    assert response.status_code == 202
    assert Message.objects.get(pk=response.json()["messageId"]).text == question


BAD_BODIES = {
    "nothing": b"",
    "half": b'{"courseId": "sql',
    "single quotes": b"{'courseId': 'x'}",
    "no UTF-8": b'{"courseId": "\xff\xfe", "question": "x"}',
    "NaN": b'{"courseId": NaN}',
    "a long number": b'{"courseId": ' + b"9" * 5000 + b"}",
    "deeply nested lists": b"[" * 30_000,
    "deeply nested objects": b'{"a":' * 10_000,
    "list": b"[]",
    "list of one": b'[{"courseId": "x", "question": "x"}]',
    "string": b'"question"',
    "number": b"5",
    "null": b"null",
}


@pytest.mark.parametrize("content", BAD_BODIES.values(), ids=BAD_BODIES)
def test_body_that_is_not_a_json_object_is_400(api, content, nothing_created):
    error_of(post(api, content), 400)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "nonsense", "application/json; charset=hex"],
)
def test_wrong_content_type_is_400(api, body, content_type, nothing_created):
    error_of(post(api, body, **{"Content-Type": content_type}), 400)


def test_form_is_400(api, body, nothing_created):
    error_of(api.post(URL, data=body), 400)
    error_of(api.post(URL, files={"question": b"What?"}), 400)


def test_body_of_two_megabytes_is_413(api, body, nothing_created):
    assert error_of(post(api, body | {"question": "x" * 2_000_000}), 413)["code"] == "too_large"


def test_body_of_two_megabytes_from_a_page_is_413(platform: Platform, learner, body, nothing_created):
    with platform.browser_session(learner) as browser:
        error_of(post(browser, body | {"question": "x" * 2_000_000}), 413)


@pytest.mark.parametrize("course_id", ["nothing", "sql-for-analysts ", "x" * 100, "%00", "../sql-for-analysts"])
def test_unknown_course_is_404(api, body, course_id, nothing_created):
    error_of(post(api, body | {"courseId": course_id.replace(" ", "-")}), 404)


@pytest.mark.parametrize("course_id", ["", "a\0", "\ud800", "x" * 101, None, []])
def test_malformed_course_id_is_400(api, body, course_id, nothing_created):
    assert list(error_of(post(api, body | {"courseId": course_id}), 400)["details"]) == ["courseId"]


def test_course_without_enrolment_is_403(api, body, bees_course, nothing_created):
    assert error_of(post(api, body | {"courseId": bees_course.slug}), 403)["code"] == "not_enrolled"


@pytest.mark.parametrize("conversation_id", ["x", "", "\0", "\ud800", "1234", 1.5, [], {}, -1])
def test_malformed_conversation_id_is_400(api, body, conversation_id, nothing_created):
    error = error_of(post(api, body | {"conversationId": conversation_id}), 400)
    assert list(error["details"]) == ["conversationId"]


def test_unknown_conversation_is_404(api, body, nothing_created):
    error_of(post(api, body | {"conversationId": str(uuid.uuid4())}), 404)


def test_somebody_elses_conversation_is_404(platform: Platform, api, body, sql_course, stranger):
    with platform.client(stranger) as client:
        theirs = ask(client, sql_course)["conversationId"]
    error_of(post(api, body | {"conversationId": theirs}), 404)
    error_of(api.get(f"/api/conversations/{theirs}"), 404)
    assert Message.objects.count() == 1


def test_conversation_of_another_course_is_404(api, body, sql_course, bees_course, learner):
    conversation = ask(api, sql_course)["conversationId"]
    Enrollment.objects.create(user=learner, course=bees_course)
    error_of(post(api, body | {"courseId": bees_course.slug, "conversationId": conversation}), 404)


@pytest.mark.parametrize("conversation_id", ["x", "%00", "1234", "%ff", "0" * 33])
def test_malformed_conversation_id_in_the_path_is_404(api, conversation_id):
    error_of(api.get(f"/api/conversations/{conversation_id}"), 404)


def test_anonymous_request_is_401(anonymous, body, nothing_created):
    error_of(post(anonymous, body), 401)


def test_wrong_token_is_401(anonymous, body, nothing_created):
    error_of(post(anonymous, body, Authorization="Token wrong"), 401)


def test_session_without_csrf_token_is_403(platform: Platform, learner, body, nothing_created):
    with platform.browser_session(learner) as browser:
        error_of(post(browser, body, **{"X-CSRFToken": ""}), 403)


def test_session_with_csrf_token_may_ask(platform: Platform, learner, body):
    with platform.browser_session(learner) as browser:
        assert post(browser, body).status_code == 202


def test_second_question_is_409_while_the_first_is_being_answered(api, sql_course, body):
    first = ask(api, sql_course)
    response = post(api, body | {"conversationId": first["conversationId"], "question": "And then?"})
    error = error_of(response, 409)
    assert (error["code"], error["details"]) == ("busy", {"jobId": first["jobId"]})
    assert Message.objects.count() == AiJob.objects.count() == 1
    assert api.get(f"/api/conversations/{first['conversationId']}").json()["activeJobId"] == first["jobId"]


def test_concurrent_questions_to_one_conversation_are_one_202_and_one_409(api, sql_course, body):
    first = ask(api, sql_course)
    api.post(f"/api/jobs/{first['jobId']}/cancel")
    more = body | {"conversationId": first["conversationId"]}
    with ThreadPoolExecutor(2) as threads:
        responses = list(threads.map(lambda n: post(api, more | {"question": f"Question {n}?"}), range(2)))
    assert sorted(response.status_code for response in responses) == [202, 409]
    assert Message.objects.count() == AiJob.objects.count() == 2


def test_location_header_of_the_202_is_the_job(api, body):
    response = post(api, body)
    accepted = response.json()
    assert set(accepted) == {"jobId", "status", "conversationId", "messageId", "links"}
    assert accepted["status"] == "pending" and set(accepted["links"]) == {"self", "events", "cancel"}
    assert api.get(response.headers["Location"]).json()["jobId"] == accepted["jobId"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_405(api, method):
    assert error_of(api.request(method, URL), 405)["code"] == "method_not_allowed"
