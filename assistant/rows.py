"""Database access of the assistant's jobs: loads what an answer needs, saves suggestions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.tone import tone_of
from assistant.models import Guidance
from assistant.prompts import Setting
from conversations.models import Message
from conversations.pipeline import QuestionInContext
from conversations.rows import question_of
from courses.models import Course, Lesson
from jobs.models import AiJob

MAX_TOPICS = 24


@dataclass(frozen=True)
class Case:
    """A question with everything that its answer depends on."""

    question: QuestionInContext
    setting: Setting
    course_id: int
    lesson_id: int | None


@dataclass(frozen=True)
class Exchange:
    """A question and its answer, with related topics of the course."""

    course: str
    question: str
    answer: str
    topics: list[str]


def case_of(job: AiJob) -> Case:
    """Return the question that this job answers. Raises Refusal like question_of."""
    course, question = question_of(job)
    assert course is not None, "questions to the assistant are about a course"
    lesson = None
    if "lessonId" in job.payload:  # still None if the lesson has been deleted: answer without it
        lesson = Lesson.objects.filter(pk=job.payload["lessonId"], course=course).defer("body").first()
    setting = Setting(
        course=course.title,
        guidance=Guidance.of(course).level,
        lesson=lesson.title if lesson else "",
        tone=tone_of(job.owner_id) if job.owner_id else "",
    )
    return Case(question, setting, course.pk, lesson.pk if lesson else None)


def newest_exchange(job: AiJob) -> Exchange | None:
    """Return the exchange to suggest questions for; None if it was deleted or is no longer the newest."""
    answers = Message.objects.filter(role=Message.Role.ASSISTANT).select_related("conversation__course")
    answer = answers.filter(pk=job.payload.get("messageId")).first()
    asked = Message.objects.filter(job=answer.job_id, role=Message.Role.USER).first() if answer else None
    if answer is None or asked is None or answer.conversation.course is None:
        return None
    if answer.conversation.messages.filter(pk__gt=asked.pk).exclude(pk=answer.pk).exists():
        return None
    course = answer.conversation.course
    return Exchange(course.title, asked.text, answer.text, _topics(course, answer))


def save_suggestions(job: AiJob, result: dict[str, Any]) -> None:
    """Save the suggestions with their answer."""
    Message.objects.filter(pk=result["messageId"]).update(suggestions=result["suggestions"])


def _topics(course: Course, answer: Message) -> list[str]:
    """Return the sections of the lessons that the answer cites, then the titles of all lessons."""
    cited = course.passages.filter(lesson__in={citation["lessonId"] for citation in answer.citations})
    sections = (
        cited.exclude(heading="").order_by("lesson__position", "position").values_list("lesson__title", "heading")
    )
    lessons = course.lessons.order_by("position").values_list("title", flat=True)
    named = (" > ".join(section) for section in sections.values_list("lesson__title", "heading"))
    topics = dict.fromkeys([*named, *lessons])
    return list(topics)[:MAX_TOPICS]
