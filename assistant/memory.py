"""The tables behind the assistant's jobs: what a question needs, and where answers and suggestions go."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from accounts.people import Person
from accounts.tone import tone_of
from assistant.models import Guidance
from assistant.prompts import Setting
from conversations import history
from conversations.models import Message
from conversations.pipeline import Question
from courses.models import Course, Lesson, Passage
from jobs import submission
from jobs.models import AiJob
from jobs.submission import SubjectBusy

MOST_TOPICS = 24


@dataclass(frozen=True)
class Case:
    """A question with all that its answer depends on."""

    question: Question
    setting: Setting
    course_id: int
    lesson_id: int | None


@dataclass(frozen=True)
class Exchange:
    """A question and its answer, with topics of the course that are near to it."""

    course: str
    question: str
    answer: str
    topics: list[str]


def case_of(job: AiJob) -> Case:
    """The question that this job answers."""
    conversation, question = history.question_of(job)
    course = conversation.course
    assert course is not None, "questions to the assistant are about a course"
    lesson = _lesson(course, job.payload["lessonId"]) if "lessonId" in job.payload else None
    setting = Setting(
        course=course.title,
        guidance=Guidance.of(course).level,
        lesson=lesson.title if lesson else "",
        tone=tone_of(job.owner_id) if job.owner_id else "",
    )
    return Case(question, setting, course.pk, lesson.pk if lesson else None)


def save_answer(job: AiJob, result: dict[str, Any]) -> None:
    """Add the answer to its conversation, and have questions suggested that may follow it."""
    answer = history.save_answer(job, result)
    if job.status == AiJob.Status.COMPLETED and result["citations"]:
        wish = submission.Request(Person(user_id=job.owner_id))
        payload = {"conversationId": str(answer.conversation_id), "messageId": str(answer.pk), "jobId": str(job.pk)}
        with suppress(SubjectBusy):  # those of the answer before are under way
            submission.submit(wish, "assistant.suggestions", payload, subject=job.subject)


def newest_exchange(job: AiJob) -> Exchange | None:
    """What this job is to suggest questions for; None when the conversation has gone on, or is gone."""
    said = Message.objects.filter(conversation=job.payload.get("conversationId")).select_related("conversation__course")
    match list(said.order_by("-pk")[:2]):
        case [answer, asked] if str(answer.pk) == job.payload["messageId"] and asked.job_id == answer.job_id:
            course = answer.conversation.course
            assert course is not None, "questions to the assistant are about a course"
            return Exchange(course.title, asked.text, answer.text, _topics(course, answer))
    return None


def save_suggestions(job: AiJob, result: dict[str, Any]) -> None:
    """Keep the suggestions with their answer."""
    Message.objects.filter(pk=result["messageId"]).update(suggestions=result["suggestions"])


def _lesson(course: Course, lesson_id: int) -> Lesson | None:
    """None for one that was deleted meanwhile: no reason not to answer."""
    return Lesson.objects.filter(pk=lesson_id, course=course).defer("body").first()


def _topics(course: Course, answer: Message) -> list[str]:
    """The sections of the lessons that the answer cites, then the course's lessons."""
    cited = [int(citation["lessonId"]) for citation in answer.citations]
    sections = Passage.objects.filter(lesson__in=cited).exclude(heading="").order_by("lesson", "position")
    headings = [f"{lesson} > {heading}" for lesson, heading in sections.values_list("lesson__title", "heading")]
    lessons = course.lessons.order_by("position").values_list("title", flat=True)
    return list(dict.fromkeys([*headings, *lessons]))[:MOST_TOPICS]
