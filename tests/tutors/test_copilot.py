"""The copilot over HTTP, with its jobs run in this process: permissions, results, and no names in prompts."""

import json

import pytest

from conversations.models import Message
from jobs.models import AiCall, AiJob
from tests.support import error_of
from tutors.models import Draft

COALESCE = "COALESCE and NULLIF"


def test_tutor_asks_and_reads_a_cited_answer(copilot):
    row = copilot.ask("What does COALESCE return?")
    assert row["status"] == "completed" and row["citations"]
    job = AiJob.objects.get(pk=row["jobId"])
    assert (job.kind, job.queue) == ("tutors.copilot", "default")
    conversation = copilot.client.get(f"/api/conversations/{row['conversationId']}").json()
    assert [m["role"] for m in conversation["messages"]] == ["user", "assistant"]
    follow_up = copilot.ask("And what when all of them are missing?", conversationId=row["conversationId"])
    assert follow_up["status"] == "completed"
    assert AiCall.objects.filter(job=follow_up["jobId"], purpose="rewrite", outcome="ok").exists()


def test_course_is_404_for_everybody_but_its_tutors(copilot, platform, api, anonymous, staff, bees_course):
    body = {"question": "What do learners struggle with?"}
    for method, path in (("POST", "copilot"), ("GET", "insights"), ("GET", "drafts"), ("GET", "questions/1/thread")):
        error_of(api.request(method, f"{copilot.path}/{path}", json=body), 404)
        error_of(anonymous.request(method, f"{copilot.path}/{path}", json=body), 401)
        for slug in (bees_course.slug, "none", "%00"):
            error_of(copilot.client.request(method, f"/api/tutors/courses/{slug}/{path}", json=body), 404)
    with platform.client(staff) as client:
        error_of(client.post(f"{copilot.path}/copilot", json=body), 404)
    assert not AiJob.objects.exists()


def test_pages_are_for_tutors_of_the_course(copilot, platform, learner, tutor, bees_course):
    page, course = f"/tutor/courses/{copilot.course.slug}/", f"/courses/{copilot.course.slug}/"
    with platform.browser_session(tutor) as browser:
        assert browser.get(page).status_code == 200 and page in browser.get(course).text
        assert browser.get(f"/tutor/courses/{bees_course.slug}/").status_code == 404
    with platform.browser_session(learner) as browser:
        assert browser.get(page).status_code == 404 and page not in browser.get(course).text


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"question": ""}, 400),
        ({"intent": "publish"}, 400),
        ({"conversationId": "x"}, 400),
        ({"questionId": 0}, 400),
        ({"questionId": 10**19}, 400),
        ({"questionId": 999_999}, 404),
        ({"lessonId": "999999"}, 404),
        ({"lessonId": "x"}, 404),
        ({"conversationId": "00000000-0000-4000-8000-000000000001"}, 404),
    ],
)
def test_invalid_request_creates_nothing(copilot, more, status):
    error_of(copilot.client.post(f"{copilot.path}/copilot", json={"question": "What?", **more}), status)
    assert not AiJob.objects.exists() and not Message.objects.filter(conversation__surface="tutors").exists()


def test_lesson_of_another_course_is_404(copilot, bees_course):
    body = {"question": "Quiz", "intent": "quiz", "lessonId": str(bees_course.lessons.first().pk)}
    error_of(copilot.client.post(f"{copilot.path}/copilot", json=body), 404)


def test_reply_to_an_open_question_becomes_a_draft(copilot, learners):
    question = learners.ask("What is COALESCE, mei.tanaka@example.org?", 0, COALESCE, rating="down")
    row = copilot.ask("Draft a reply", questionId=question.pk)
    [draft] = copilot.drafts()
    assert (draft["kind"], draft["status"], draft["version"], draft["jobId"]) == ("reply", "draft", 1, row["jobId"])
    assert draft["questionId"] == question.pk
    assert draft["content"]["asked"] == "What is COALESCE, [e-mail]?"
    assert (draft["content"]["text"], draft["content"]["citations"]) == (row["answer"], row["citations"])
    question.conversation.delete()
    assert copilot.drafts() == []


def test_quiz_on_a_lesson_becomes_drafts_with_sources_in_it(copilot):
    lesson = copilot.course.lessons.get(title__startswith="Joins")
    row = copilot.ask("Propose 3 questions", intent="quiz", lessonId=str(lesson.pk))
    drafts = copilot.drafts()
    assert [draft["position"] for draft in drafts] == [0, 1, 2]
    for draft in drafts:
        assert draft["kind"] == "quiz_question" and draft["content"]["question"] in row["answer"]
        source = draft["content"]["passage"]
        assert source["lessonId"] == str(lesson.pk)
        assert lesson.passages.filter(heading=source["heading"], text__contains=source["quote"]).exists()


def test_quiz_names_its_lesson_in_words_too(copilot):
    copilot.ask("Please propose a quiz on window functions")
    assert {draft["content"]["passage"]["title"].split(":")[0] for draft in copilot.drafts()} == {"Window functions"}


def test_no_learner_is_named_in_any_prompt(copilot, learners, simulator):
    question = learners.ask("Jonas and I wonder: is Power BI in it? a@b.example", 0)
    learners.ask("My name is Quentin. May I?", 1)
    for by in (0, 1, 2):
        learners.ask("What is COALESCE?", by, COALESCE)
    for text, more in (
        ("What do learners struggle with?", {}),
        ("What does COALESCE return?", {}),
        ("Draft a reply", {"questionId": question.pk}),
    ):
        assert copilot.ask(text, **more)["status"] == "completed"
    sent = json.dumps([request["body"] for request in simulator.requests()])
    assert "[name] and I wonder" in sent and "3 questions of 3 learners" in sent
    names = [name for user in learners.users for name in (user.username, user.first_name, user.last_name)]
    assert [name for name in [*names, "Quentin", "a@b.example"] if name in sent] == []


def test_question_whose_text_is_withheld_cannot_be_replied_to(copilot, learners):
    question = learners.ask("My name is Quentin. May I?")
    body = {"question": "Draft a reply", "questionId": question.pk}
    error_of(copilot.client.post(f"{copilot.path}/copilot", json=body), 404)


def test_former_tutor_is_refused(copilot, tutor, simulator):
    accepted = copilot.post("What does COALESCE return?")
    copilot.course.tutors.remove(tutor)
    job = copilot.run(accepted["jobId"])
    assert (job.status, job.error_code, job.retryable) == ("failed", "not_a_tutor", False)
    assert simulator.requests() == []


def test_stopped_reply_leaves_no_draft(copilot, simulator):
    accepted = copilot.post("Draft a reply to: what does COALESCE return?")
    copilot.client.post(accepted["links"]["cancel"])
    assert copilot.run(accepted["jobId"]).status == "cancelled"
    assert not Draft.objects.exists()
