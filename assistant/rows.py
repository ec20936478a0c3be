"""Database access of the assistant's jobs: loads what an answer needs, saves suggestions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from accounts.tone import tone_of
from assistant.models import Guidance
from assistant.prompts import Setting
from config.sql import first_row
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
        guidance=_guidance_of(course),
        lesson=lesson.title if lesson else "",
        tone=tone_of(job.owner_id) if job.owner_id else "",
    )
    return Case(question, setting, course.pk, lesson.pk if lesson else None)


# Hand-written, like the other statements that every answer runs: through the ORM they cost a worker a fifth more CPU
# (docs/decisions/0020). The topics are the sections of the lessons that the answer cites, then the course's lessons.
_EXCHANGE = """
SELECT course.title, asked.text, answer.text, ARRAY(
    SELECT lesson.title || ' > ' || passage.heading
    FROM courses_lesson lesson JOIN courses_passage passage ON passage.lesson_id = lesson.id
    WHERE passage.heading <> '' AND lesson.id IN (
        SELECT (cited ->> 'lessonId')::bigint FROM jsonb_array_elements(answer.citations) cited
    )
    ORDER BY lesson.position, passage.position
), ARRAY(SELECT title FROM courses_lesson WHERE course_id = course.id ORDER BY position)
FROM conversations_message answer
JOIN conversations_message asked ON asked.job_id = answer.job_id AND asked.role = 'user'
JOIN conversations_conversation conversation ON conversation.id = answer.conversation_id
JOIN courses_course course ON course.id = conversation.course_id
WHERE answer.id = %(answer)s AND NOT EXISTS (
    SELECT FROM conversations_message newer
    WHERE newer.conversation_id = conversation.id AND newer.id > asked.id AND newer.id <> answer.id
)
"""


def newest_exchange(job: AiJob) -> Exchange | None:
    """Return the exchange to suggest questions for; None if it was deleted or is no longer the newest."""
    row = first_row(_EXCHANGE, {"answer": job.payload.get("messageId")})
    if row is None:
        return None
    course, asked, answer, sections, lessons = row
    return Exchange(course, asked, answer, list(dict.fromkeys([*sections, *lessons]))[:MAX_TOPICS])


def save_suggestions(job: AiJob, result: dict[str, Any]) -> None:
    """Save the suggestions with their answer."""
    Message.objects.filter(pk=result["messageId"]).update(suggestions=result["suggestions"])


def _guidance_of(course: Course) -> str:
    """Return the course's guidance level: Guidance.of, hand-written like _EXCHANGE."""
    row = first_row("SELECT level FROM assistant_guidance WHERE course_id = %s", [course.pk])
    return row[0] if row else Guidance().level
