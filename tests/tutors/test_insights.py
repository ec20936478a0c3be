"""Insights for tutors into learners' questions: counts, themes and open questions, without names."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from conversations.models import Conversation, Message
from courses.models import Enrollment
from jobs.models import AiJob, Reading
from tests.support import error_of
from tutors import insights
from tutors.models import Draft

COALESCE, NOT_IN = "COALESCE and NULLIF", "The NOT IN trap"


def test_themes_are_the_sections_that_answers_cited(learners, sql_course):
    for by in (0, 1, 2):
        learners.ask(f"What is COALESCE {by}?", by, COALESCE)
    learners.ask("Why NOT IN?", 0, NOT_IN, rating="down")
    learners.ask("Is it running?", 0, status="running")
    found = insights.of_course(sql_course)
    assert [(t.heading, t.questions, t.troubled, t.learners) for t in found.themes] == [
        (COALESCE, 3, 0, 3),
        (NOT_IN, 1, 1, None),
    ]
    assert (found.questions, found.learners, found.troubles) == (5, 3, {"disliked": 1})


def test_questions_without_a_good_answer_are_open(learners, sql_course):
    learners.ask("What is COALESCE?", 0, COALESCE, rating="up")
    disliked = learners.ask("Why NOT IN, jonas@example.org?", 1, NOT_IN, rating="down")
    uncovered = learners.ask("Can I use Power BI, Mei?", 2)
    failed = learners.ask("And this?", 0, status="failed")
    learners.ask("I stopped this", 0, status="cancelled")
    learners.ask("My name is Amira. May I?", 0)
    found = insights.of_course(sql_course)
    assert [(one.question_id, one.trouble, one.text) for one in found.open] == [
        (failed.pk, "unanswered", "And this?"),
        (uncovered.pk, "not_covered", "Can I use Power BI, [name]?"),
        (disliked.pk, "disliked", "Why NOT IN, [e-mail]?"),
    ]
    assert found.withheld == 1


def test_accepted_reply_closes_the_question(learners, sql_course):
    question = learners.ask("Can I use Power BI?")
    draft = Draft.objects.create(course=sql_course, kind="reply", content={}, question=question, position=0)
    assert insights.of_course(sql_course).open
    Draft.objects.filter(pk=draft.pk).update(state="accepted")
    assert not insights.of_course(sql_course).open


def test_only_recent_questions_of_learners_of_this_course_count(learners, sql_course, bees_course, tutor):
    learners.ask("Old?")
    Message.objects.update(created_at=timezone.now() - timedelta(days=insights.INSIGHT_DAYS + 1))
    for owner, course, surface in (
        (tutor, sql_course, "assistant"),
        (learners.users[0], bees_course, "assistant"),
        (learners.users[0], sql_course, "tutors"),
    ):
        conversation = Conversation.objects.create(surface=surface, owner=owner, course=course, title="x")
        job = AiJob.objects.create(kind="assistant.answer", queue="interactive", owner=owner, status="failed")
        conversation.messages.create(role="user", text="Not to be counted", job=job)
    found = insights.of_course(sql_course)
    assert (found.questions, found.open) == (0, [])


def test_course_of_few_learners_shows_no_texts(learners, sql_course):
    learners.ask("Can I use Power BI?")
    Enrollment.objects.filter(course=sql_course, user=learners.users[0]).delete()
    Enrollment.objects.filter(course=sql_course).exclude(user__in=learners.users).delete()
    found = insights.of_course(sql_course)
    assert (found.open, found.withheld, found.questions) == ([], 1, 1)


def test_insights_over_the_api_name_nobody(copilot, learners):
    question = learners.ask("Can I use Power BI?", 1)
    response = copilot.client.get(f"{copilot.path}/insights")
    assert response.json()["open"] == [
        {
            "questionId": question.pk,
            "text": "Can I use Power BI?",
            "trouble": "not_covered",
            "askedOn": question.created_at.date().isoformat(),
        }
    ]
    for user in learners.users:
        assert user.username not in response.text and user.last_name not in response.text


@pytest.fixture
def may_open(tutor):
    tutor.user_permissions.add(Permission.objects.get(codename="open_learner_thread"))
    return User.objects.get(pk=tutor.pk)


def test_thread_with_the_name_needs_a_permission_and_is_logged(
    platform, copilot, learners, tutor, may_open, bees_course
):
    question = learners.ask("Can I use Power BI?", 1)
    path = f"{copilot.path}/questions/{question.pk}/thread"
    thread = copilot.client.get(path).json()
    assert (thread["name"], thread["messages"][0]["text"]) == ("Jonas Weber", "Can I use Power BI?")
    what = f"conversation:{question.conversation_id}"
    assert list(Reading.objects.filter(reader=tutor).values_list("what", flat=True)) == [what]
    with platform.browser_session(tutor) as browser:
        page = browser.get(f"/tutor/courses/{copilot.course.slug}/questions/{question.pk}/")
        assert "Jonas Weber" in page.text and "Can I use Power BI?" in page.text
    assert Reading.objects.filter(reader=tutor, what=what).count() == 2
    error_of(copilot.client.get(f"{copilot.path}/questions/999999/thread"), 404)
    error_of(copilot.client.get(f"/api/tutors/courses/{bees_course.slug}/questions/{question.pk}/thread"), 404)
    assert Reading.objects.filter(reader=tutor).count() == 2


def test_thread_stays_closed_without_the_permission(platform, copilot, learners, tutor):
    question = learners.ask("Can I use Power BI?", 1)
    assert "Jonas" not in str(error_of(copilot.client.get(f"{copilot.path}/questions/{question.pk}/thread"), 403))
    with platform.browser_session(tutor) as browser:
        assert browser.get(f"/tutor/courses/{copilot.course.slug}/questions/{question.pk}/").status_code == 403
    assert not Reading.objects.exists()
