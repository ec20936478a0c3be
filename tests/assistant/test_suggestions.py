"""Follow-up suggestions: made after the answer, without delaying it, and only for the newest one."""

import pytest

from jobs.models import AiJob
from tests.support import ask

QUESTION = "What does COALESCE return?"


def suggesting():
    return AiJob.objects.filter(kind="assistant.suggestions").latest("created_at")


def suggestions(desk, conversation_id):
    return [message["suggestions"] for message in desk.conversation(conversation_id)["messages"]]


def test_answer_is_complete_before_suggestions_are_generated(desk, count_purposes):
    answer = desk.answer(QUESTION)
    assert (answer["status"], count_purposes("structured")) == ("completed", 0)
    job = suggesting()
    assert (job.queue, job.status, job.owner_id) == (
        "background",
        "pending",
        AiJob.objects.get(pk=answer["jobId"]).owner_id,
    )
    desk.run(job.pk)
    assert count_purposes("structured") == 1
    [_, kept] = suggestions(desk, answer["conversationId"])
    assert 1 <= len(kept) <= 3 and QUESTION not in kept
    result = AiJob.objects.get(pk=job.pk).result
    assert (result["jobId"], result["suggestions"]) == (answer["jobId"], kept)
    follow_up = desk.answer(kept[0], conversationId=answer["conversationId"])
    assert "not in the course material" not in follow_up["answer"]


def test_no_suggestions_after_a_newer_question(desk, count_purposes):
    answer = desk.answer(QUESTION)
    ask(desk.api, desk.course, "And then?", conversationId=answer["conversationId"])
    assert desk.run(suggesting().pk).status == "completed"
    assert count_purposes("structured") == 0


def test_no_suggestions_after_a_question_outside_the_course(desk):
    desk.answer("Who won the football match yesterday?")
    assert not AiJob.objects.filter(kind="assistant.suggestions").exists()


@pytest.mark.parametrize("kind", ["quota", "invalid_json"])
def test_upstream_failure_means_no_suggestions_and_no_failed_job(desk, simulator, kind):
    answer = desk.answer(QUESTION)
    simulator.fault(kind, times=10)
    assert desk.run(suggesting().pk).status == "completed"
    assert suggestions(desk, answer["conversationId"])[1] == []
