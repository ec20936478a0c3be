"""Drafts are edited, regenerated one by one, accepted and rejected; a tutor's edits are never lost."""

import pytest
from django.contrib.auth.models import User

from jobs.models import AiJob
from tests.support import error_of, password_hash, unique
from tutors.models import Draft


@pytest.fixture
def quiz(copilot):
    lesson = copilot.course.lessons.get(title__startswith="Joins")
    copilot.ask("Propose 2 questions", intent="quiz", lessonId=str(lesson.pk))
    return copilot.drafts()


@pytest.fixture
def reply(copilot):
    copilot.ask("Draft a reply to: what does COALESCE return?")
    [draft] = copilot.drafts()
    return draft


def edited(draft, **changes):
    kept = {key: draft["content"][key] for key in ("question", "options", "right", "explanation")}
    return {"version": draft["version"], "content": kept | changes}


def test_quiz_question_is_edited_and_keeps_its_source(copilot, quiz):
    body = edited(quiz[0], question="Which?", options=["a", "b"], right=1)
    changed = copilot.change(quiz[0], "PATCH", **body).json()
    assert changed["content"] == quiz[0]["content"] | {"question": "Which?", "options": ["a", "b"], "right": 1}
    assert (changed["version"], changed["isEdited"]) == (2, True)
    assert copilot.drafts()[1] == quiz[1]


def test_edited_reply_keeps_the_sources_that_it_still_cites(copilot, reply):
    assert reply["content"]["citations"]
    body = {"version": 1, "content": {"text": "Only words."}}
    changed = copilot.change(reply, "PATCH", **body).json()
    assert (changed["content"]["text"], changed["content"]["citations"]) == ("Only words.", [])


@pytest.mark.parametrize(
    "changes",
    [{"right": 9}, {"right": -1}, {"options": ["a"]}, {"options": ["a", "a"]}, {"question": " "}, {"passage": {}}],
)
def test_unsound_edit_is_400(copilot, quiz, changes):
    assert "content" in error_of(copilot.change(quiz[0], "PATCH", **edited(quiz[0], **changes)), 400)["message"]
    assert copilot.drafts()[0] == quiz[0]


@pytest.mark.parametrize("body", [{}, {"version": 1}, {"version": 1, "content": "x"}, {"version": 1, "content": {}}])
def test_malformed_edit_is_400(copilot, reply, body):
    error_of(copilot.change(reply, "PATCH", **body), 400)


def test_edit_of_an_older_version_is_409(copilot, reply):
    body = {"version": 1, "content": {"text": "First."}}
    assert copilot.change(reply, "PATCH", **body).status_code == 200
    assert error_of(copilot.change(reply, "PATCH", **body), 409)["details"] == {"version": 2}
    error_of(copilot.change(reply, "POST", "accept", version=1), 409)


def test_one_question_is_regenerated_and_the_others_stay(copilot, quiz):
    accepted = copilot.change(quiz[0], "POST", "regenerate", instruction="Harder")
    assert accepted.status_code == 202
    job = copilot.run(accepted.json()["jobId"])
    assert (job.status, "Harder" in str(job.payload)) == ("completed", False)
    first, second = copilot.drafts()
    assert second == quiz[1]
    questions = {draft["content"]["question"] for draft in [*quiz, first]}
    assert len(questions) == 3
    assert (first["version"], first["writtenBy"], first["jobId"]) == (2, str(job.pk), quiz[0]["jobId"])


def test_reply_is_regenerated(copilot, reply):
    job = copilot.run(copilot.change(reply, "POST", "regenerate").json()["jobId"])
    [anew] = copilot.drafts()
    assert job.result["content"] == anew["content"] != reply["content"]
    assert anew["content"]["asked"] == reply["content"]["asked"]


def test_edit_during_a_regeneration_is_kept(copilot, reply):
    accepted = copilot.change(reply, "POST", "regenerate").json()
    copilot.change(reply, "PATCH", version=1, content={"text": "Mine."})
    assert copilot.run(accepted["jobId"]).status == "completed"
    [draft] = copilot.drafts()
    assert (draft["content"]["text"], draft["version"], draft["writtenBy"]) == ("Mine.", 2, None)


@pytest.mark.parametrize("decision", ["accept", "discard"])
def test_decision_during_a_regeneration_is_kept(copilot, reply, decision):
    accepted = copilot.change(reply, "POST", "regenerate").json()
    assert copilot.change(reply, "POST", decision, version=1).status_code == 200
    copilot.run(accepted["jobId"])
    draft = Draft.objects.get()
    assert (draft.content, draft.version) == (reply["content"], 1)


def test_concurrent_regeneration_is_409(copilot, reply, quiz):
    first = copilot.change(reply, "POST", "regenerate").json()
    assert error_of(copilot.change(reply, "POST", "regenerate"), 409)["details"] == {"jobId": first["jobId"]}
    assert copilot.change(quiz[0], "POST", "regenerate").status_code == 202


def test_decided_drafts_are_listed_separately_and_immutable(copilot, quiz):
    copilot.change(quiz[0], "POST", "accept", version=1)
    copilot.change(quiz[1], "POST", "discard")
    assert copilot.drafts() == []
    assert [draft["draftId"] for draft in copilot.drafts(status="accepted")] == [quiz[0]["draftId"]]
    assert [draft["draftId"] for draft in copilot.drafts(status="discarded")] == [quiz[1]["draftId"]]
    for draft in quiz:
        error_of(copilot.change(draft, "PATCH", **edited(draft)), 409)
        for action in ("accept", "discard", "regenerate"):
            error_of(copilot.change(draft, "POST", action, version=1), 409)
    assert AiJob.objects.filter(kind="tutors.redraft").count() == 0
    error_of(copilot.client.get(f"{copilot.path}/drafts?status=none"), 400)


def test_drafts_are_accessible_to_tutors_of_their_course_only(copilot, platform, api, quiz, bees_course):
    other = User.objects.create(username=unique("test-tutor"), password=password_hash())
    bees_course.tutors.add(other)
    with platform.client(other) as elsewhere:
        for client, slug in (
            (api, copilot.course.slug),
            (elsewhere, copilot.course.slug),
            (elsewhere, bees_course.slug),
        ):
            path = f"/api/tutors/courses/{slug}/drafts/{quiz[0]['draftId']}"
            error_of(client.get(path), 404)
            error_of(client.patch(path, json=edited(quiz[0])), 404)
            for action in ("accept", "discard", "regenerate"):
                error_of(client.post(f"{path}/{action}", json={"version": 1}), 404)
    copilot.course.tutors.add(other)
    with platform.client(other) as colleague:
        assert colleague.get(f"{copilot.path}/drafts").json()["results"] == quiz
    assert copilot.drafts() == quiz


def test_regeneration_for_a_former_tutor_is_refused(copilot, reply, tutor):
    accepted = copilot.change(reply, "POST", "regenerate").json()
    copilot.course.tutors.remove(tutor)
    assert copilot.run(accepted["jobId"]).error_code == "not_a_tutor"
    assert Draft.objects.get().content == reply["content"]
