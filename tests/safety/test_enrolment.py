"""Content of a course without enrolment never reaches a prompt, even with manipulated requests.

Each course has a canary word; the tests check the requests that the simulator received.
"""

import pytest

from courses.models import Enrollment
from jobs.models import AiJob
from tests.safety.conftest import Asking

QUESTION = "How often is a quernstone dressed?"


def test_canary_is_sent_for_enrolled_learners(insider, secret):
    """Control test: without it, the tests below could pass because search never finds anything."""
    insider.ask(secret.course.slug, QUESTION)
    assert secret.canary in insider.sent


def test_question_about_another_course_finds_nothing_of_it(asking, secret, sql_course):
    job = asking.ask(sql_course.slug, QUESTION)
    assert asking.prompts and secret.canary not in asking.sent
    assert secret.canary not in str(job.result)


def test_course_without_enrolment_is_refused_and_nothing_is_sent(asking, secret):
    response = asking.post(secret.course.slug, QUESTION)
    assert response.status_code in (403, 404)
    assert asking.sent == "[]"


@pytest.mark.parametrize("bend", ["{0} ", "{0}\n", "{0}/../{1}", "{1},{0}", "{1}&courseId={0}", "%", "{1}\u0000{0}"])
def test_manipulated_course_id_exposes_nothing(asking, secret, sql_course, bend):
    asking.post(bend.format(secret.course.slug, sql_course.slug), QUESTION)
    assert secret.canary not in asking.sent


@pytest.mark.parametrize("names", ["lessonId", "lesson_id", "lessonIds", "lesson", "courseIds", "course_id", "course"])
def test_additional_ids_in_the_body_expose_nothing(asking, secret, sql_course, names):
    """The key may be refused, ignored or valid, but must not bring a lesson of another course into a prompt."""
    for value in (str(secret.lesson.pk), secret.lesson.pk, [secret.lesson.pk], secret.course.slug, secret.course.pk):
        asking.post(sql_course.slug, QUESTION, **{names: value})
        assert secret.canary not in asking.sent, value


def test_conversation_of_another_course_is_not_continued(insider, secret, sql_course, learner):
    conversation = insider.ask(secret.course.slug, QUESTION).payload["conversationId"]
    response = insider.post(sql_course.slug, "And why?", conversationId=conversation)
    assert (response.status_code, insider.sent) == (404, "[]")
    Enrollment.objects.filter(course=secret.course, user=learner).delete()
    response = insider.post(secret.course.slug, "And why?", conversationId=conversation)
    assert response.status_code in (403, 404) and insider.sent == "[]"


def test_conversation_of_somebody_else_is_not_continued(insider, platform, simulator, stranger, secret):
    conversation = insider.ask(secret.course.slug, QUESTION).payload["conversationId"]
    Enrollment.objects.create(course=secret.course, user=stranger)
    other = Asking(platform.client(stranger), simulator)
    response = other.post(secret.course.slug, "And why?", conversationId=conversation)
    assert (response.status_code, other.sent) == (404, "[]")


def test_enrolment_that_ended_before_the_run_is_respected(insider, secret, simulator, learner):
    """A job that waited, or is retried weeks later, must not bypass the enrolment."""
    body = {"courseId": secret.course.slug, "question": QUESTION}
    job_id = insider.client.post("/api/assistant/query", json=body).json()["jobId"]
    Enrollment.objects.filter(course=secret.course, user=learner).delete()
    simulator.reset()
    insider.work(job_id)
    assert secret.canary not in insider.sent
    job = AiJob.objects.get(pk=job_id)
    assert (job.status, job.retryable) == ("failed", False)
