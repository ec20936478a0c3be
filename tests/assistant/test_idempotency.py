"""The Idempotency-Key: a repeated request creates nothing new."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from conversations.models import Conversation, Message
from jobs.models import AiJob
from tests.support import Platform, ask, error_of


def post(client, body, key):
    headers = {"Idempotency-Key": key.encode("latin1")}
    return client.post("/api/assistant/query", json=body, headers=headers)


@pytest.fixture
def body(sql_course):
    return {"courseId": sql_course.slug, "question": "What does COALESCE return?"}


def test_same_key_and_body_give_the_same_job(api, body):
    responses = [post(api, body, "key-1") for _ in range(3)]
    assert [response.status_code for response in responses] == [202] * 3
    assert responses[0].json() == responses[1].json() == responses[2].json()
    assert AiJob.objects.count() == Message.objects.count() == Conversation.objects.count() == 1


def test_same_key_gives_the_same_job_after_it_ended(api, body):
    first = post(api, body, "key-1").json()
    api.post(f"/api/jobs/{first['jobId']}/cancel")
    assert post(api, body, "key-1").json() == first | {"status": "cancelled"}


@pytest.mark.parametrize("is_follow_up", [False, True])
def test_concurrent_identical_posts_create_one_job(api, sql_course, body, is_follow_up):
    if is_follow_up:
        first = ask(api, sql_course)
        api.post(f"/api/jobs/{first['jobId']}/cancel")
        body["conversationId"] = first["conversationId"]
    before = AiJob.objects.count()
    with ThreadPoolExecutor(4) as threads:
        responses = list(threads.map(lambda _: post(api, body, "key-1"), range(4)))
    assert [response.status_code for response in responses] == [202] * 4
    assert len({response.json()["jobId"] for response in responses}) == 1
    assert AiJob.objects.count() == Message.objects.count() == before + 1


def test_same_key_with_another_body_is_422(api, body):
    post(api, body, "key-1")
    assert error_of(post(api, body | {"question": "Another?"}, "key-1"), 422)["code"] == "idempotency_key_reused"
    assert AiJob.objects.count() == Message.objects.count() == 1


def test_same_key_of_two_people_creates_two_jobs(platform: Platform, api, stranger, body):
    mine = post(api, body, "key-1").json()
    with platform.client(stranger) as client:
        theirs = post(client, body, "key-1")
    assert theirs.status_code == 202 and theirs.json()["jobId"] != mine["jobId"]


def test_refused_request_does_not_use_up_its_key(api, body):
    error_of(post(api, body | {"courseId": "nothing"}, "key-1"), 404)
    assert post(api, body, "key-1").status_code == 202


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "\xa0"])
def test_malformed_key_is_400(api, body, key):
    assert error_of(post(api, body, key), 400)["code"] == "invalid"
    assert not AiJob.objects.exists() and not Message.objects.exists()


def test_key_of_255_characters_is_accepted(api, body):
    assert post(api, body, "k" * 255).status_code == 202
