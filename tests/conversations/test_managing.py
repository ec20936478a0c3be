"""People list, rename, export, rate and delete their own conversations."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from django.db import connection

from conversations import rows
from conversations.models import Conversation
from jobs.backends import connections
from jobs.lifecycle import transitions
from jobs.models import AiCall, AiJob
from jobs.tasks import run_job
from tests.support import ask, error_of, wait_for

QUESTION = "What does COALESCE return?"
CANARY = "zyzzyva"


def path_of(answer, *more):
    return "/".join(["/api/conversations", answer["conversationId"], *more])


def test_list_shows_own_conversations_newest_first(platform, desk, stranger, sql_course):
    with platform.client(stranger) as client:
        ask(client, sql_course)
    first, second = (ask(desk.api, sql_course, f"Question {n}?") for n in (1, 2))
    page = desk.api.get("/api/conversations", params={"surface": "assistant", "courseId": sql_course.slug}).json()
    assert [entry["conversationId"] for entry in page["results"]] == [
        second["conversationId"],
        first["conversationId"],
    ]
    assert page["results"][1] | {"createdAt": 0, "updatedAt": 0} == {
        "conversationId": first["conversationId"], "surface": "assistant", "courseId": sql_course.slug,
        "title": "Question 1?", "createdAt": 0, "updatedAt": 0,
    }  # fmt: skip
    assert len(desk.api.get("/api/conversations?limit=1").json()["results"]) == 1
    for other in ("surface=tutors", "courseId=none", "courseId=%00"):
        assert len(desk.api.get(f"/api/conversations?{other}").json()["results"]) == 0


def test_renamed_conversation_keeps_its_position(desk, sql_course):
    answer = ask(desk.api, sql_course)
    later = ask(desk.api, sql_course)
    assert desk.api.patch(path_of(answer), json={"title": " Missing values "}).json()["title"] == "Missing values"
    listed = [entry["conversationId"] for entry in desk.api.get("/api/conversations").json()["results"]]
    assert listed == [later["conversationId"], answer["conversationId"]]
    for bad in ({}, {"title": ""}, {"title": "x" * 121}, {"title": "a\0"}, {"title": None}):
        error_of(desk.api.patch(path_of(answer), json=bad), 400)


@pytest.mark.parametrize(
    ("method", "more", "body"),
    [("PATCH", (), {"title": "x"}), ("DELETE", (), None), ("GET", ("export",), None),
     ("PUT", ("messages", "1", "rating"), {"rating": "up"})],
)  # fmt: skip
def test_others_get_404_and_anonymous_requests_401(platform, desk, stranger, anonymous, sql_course, method, more, body):
    path = path_of(ask(desk.api, sql_course), *more)
    with platform.client(stranger) as client:
        error_of(client.request(method, path, json=body), 404)
    error_of(anonymous.request(method, path, json=body), 401)
    assert Conversation.objects.get().messages.count() == 1


def test_export_has_all_messages_with_sources_and_the_ai_label(desk):
    answer = desk.answer(f"{QUESTION}\nAnd why?")
    response = desk.api.get(path_of(answer, "export"), headers={"Accept": "text/markdown"})
    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="what-does-coalesce-return-and-why.md"'
    text = response.text
    assert text.startswith(f"# {QUESTION} And why?\n")
    assert f"> {QUESTION}\n> And why?" in text and answer["answer"] in text
    assert f"- [{answer['citations'][0]['n']}] {answer['citations'][0]['title']}" in text
    assert text.count("AI-generated") == 1


def test_answer_is_rated_by_its_own_id_or_that_of_its_question(desk):
    answer = desk.answer(QUESTION)
    question_id = answer["messageId"]
    rated = desk.api.put(path_of(answer, "messages", question_id, "rating"), json={"rating": "down", "reason": "Dry."})
    assert rated.json() == {"rating": "down", "reason": "Dry."}
    message = desk.conversation(answer["conversationId"])["messages"][1]
    assert (message["rating"], message["reason"]) == ("down", "Dry.")
    back = desk.api.put(path_of(answer, "messages", message["messageId"], "rating"), json={"rating": None})
    assert back.json() == {"rating": None, "reason": ""}
    assert desk.conversation(answer["conversationId"])["messages"][1]["rating"] is None


@pytest.mark.parametrize("body", [{}, {"rating": "good"}, {"rating": "up", "reason": "x" * 501}, {"rating": 1}])
def test_malformed_rating_is_400(desk, body):
    answer = desk.answer(QUESTION)
    error_of(desk.api.put(path_of(answer, "messages", answer["messageId"], "rating"), json=body), 400)


@pytest.mark.parametrize("message_id", ["0", "x", "-1", "9" * 25])
def test_unknown_answer_is_404(desk, message_id):
    answer = ask(desk.api, desk.course)
    error_of(desk.api.put(path_of(answer, "messages", message_id, "rating"), json={"rating": "up"}), 404)


def holds(text):
    """The tables and Redis keys that contain this text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT count(*) FROM "{table}" AS row WHERE row::text ILIKE %s', [f"%{text}%"])
            found += [table] if cursor.fetchone()[0] else []
    redis = connections.redis()
    for key in redis.scan_iter("*"):
        kind = redis.type(key)
        kept = redis.xrange(key) if kind == b"stream" else redis.dump(key)
        found += [key.decode()] if text.encode() in repr(kept).encode() else []
    return found


def run_all(desk):
    while waiting := AiJob.objects.filter(status="pending").first():
        desk.run(waiting.pk)


def test_deleting_removes_all_text_and_keeps_the_costs(desk, sql_course):
    answer = desk.answer(f"{QUESTION} {CANARY}")
    desk.api.put(path_of(answer, "messages", answer["messageId"], "rating"), json={"rating": "up", "reason": CANARY})
    run_all(desk)
    streams = [f"aijob:{job.pk}:events" for job in AiJob.objects.all()]
    assert {"conversations_message", "conversations_conversation"} <= set(holds(CANARY))
    assert connections.redis().exists(*streams) == len(streams) == 2
    calls, cost = AiCall.objects.count(), [call.cost for call in AiCall.objects.order_by("pk")]
    assert desk.api.delete(path_of(answer)).status_code == 204
    assert holds(CANARY) == []
    assert connections.redis().exists(*streams) == 0
    assert (AiCall.objects.count(), [call.cost for call in AiCall.objects.order_by("pk")]) == (calls, cost)
    assert list(AiJob.objects.values_list("status", "result", "payload")) == [("completed", None, {})] * 2
    error_of(desk.api.get(path_of(answer)), 404)
    error_of(desk.api.delete(path_of(answer)), 404)
    assert "answer" not in desk.api.get(answer["links"]["self"]).json()


def test_deleting_cancels_pending_jobs_for_good(desk, sql_course):
    waiting = ask(desk.api, sql_course, f"{QUESTION} {CANARY}")
    assert desk.api.delete(path_of(waiting)).status_code == 204
    row = desk.api.get(waiting["links"]["self"]).json()
    assert row["status"] == "cancelled"
    error_of(desk.api.post(f"{waiting['links']['self']}/retry"), 409)
    assert holds(CANARY) == []


def test_deleting_while_an_answer_is_streamed_stores_none_of_it(desk, sql_course, simulator):
    simulator.set(token_interval=0.05, answer_tokens=100)
    accepted = ask(desk.api, sql_course, f"{QUESTION} {CANARY}")
    stream = f"aijob:{accepted['jobId']}:events"

    async def delete_in_the_middle():
        running = asyncio.create_task(run_job(accepted["jobId"]))
        await asyncio.to_thread(wait_for, lambda: connections.redis().xlen(stream) > 4)
        assert (await asyncio.to_thread(desk.api.delete, path_of(accepted))).status_code == 204
        await running

    asyncio.run(delete_in_the_middle())
    job = AiJob.objects.get(pk=accepted["jobId"])
    assert (job.status, job.result, job.payload) == ("cancelled", None, {})
    assert not connections.redis().exists(stream)
    assert holds(CANARY) == []
    assert AiCall.objects.get(job=job, purpose="answer").output_tokens > 0


def test_deleting_while_the_answer_is_being_saved(desk, sql_course):
    accepted = ask(desk.api, sql_course, f"{QUESTION} {CANARY}")
    run = transitions.claim(UUID(accepted["jobId"]), "worker")

    def save(job, result):
        deleting.append(thread.submit(desk.api.delete, path_of(accepted)))
        wait_for(is_anybody_waiting)
        rows.add_answer(job, result)

    deleting = []
    with ThreadPoolExecutor(1) as thread:
        transitions.complete(run, {"answer": CANARY, "citations": []}, save)
        assert deleting[0].result().status_code == 204
    assert holds(CANARY) == []


def is_anybody_waiting():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0]


def test_same_key_after_deleting_creates_a_new_job(desk, sql_course):
    body = {"courseId": sql_course.slug, "question": QUESTION}
    first = desk.api.post("/api/assistant/query", json=body, headers={"Idempotency-Key": "k"}).json()
    desk.api.delete(path_of(first))
    again = desk.api.post("/api/assistant/query", json=body, headers={"Idempotency-Key": "k"})
    assert again.status_code == 202 and again.json()["jobId"] != first["jobId"]
