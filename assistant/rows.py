"""The tables behind the assistant's jobs: what a question needs, and where answers and suggestions go."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from accounts.people import Person
from accounts.tone import tone_of
from assistant.models import Guidance
from assistant.prompts import Setting
from config.sql import first_row
from conversations.models import Message
from conversations.pipeline import Question
from conversations.rows import question_of
from conversations.rows import save_answer as save_message
from courses.models import Course, Lesson
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
    course, question = question_of(job)
    assert course is not None, "questions to the assistant are about a course"
    lesson = _lesson(course, job.payload["lessonId"]) if "lessonId" in job.payload else None
    setting = Setting(
        course=course.title,
        guidance=_level(course),
        lesson=lesson.title if lesson else "",
        tone=tone_of(job.owner_id) if job.owner_id else "",
    )
    return Case(question, setting, course.pk, lesson.pk if lesson else None)


def save_answer(job: AiJob, result: dict[str, Any]) -> None:
    """Add the answer to its conversation, and have questions suggested that may follow it."""
    answer_id = save_message(job, result)
    if job.status == AiJob.Status.COMPLETED and result["citations"]:
        wish = submission.Request(Person(user_id=job.owner_id))
        payload = {
            "conversationId": job.payload["conversationId"],
            "messageId": str(answer_id),
            "jobId": str(job.pk),
        }
        with suppress(SubjectBusy):  # those of the answer before are under way
            submission.submit(wish, "assistant.suggestions", payload, subject=job.subject)


# One statement by hand, like that which an answer begins with (conversations/rows.py): the topics are the sections
# of the lessons that the answer cites, then the course's lessons.
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
    """What this job is to suggest questions for; None when the conversation has gone on, or is gone."""
    row = first_row(_EXCHANGE, {"answer": job.payload.get("messageId")})
    if row is None:
        return None
    course, asked, answer, sections, lessons = row
    return Exchange(course, asked, answer, list(dict.fromkeys([*sections, *lessons]))[:MOST_TOPICS])


def save_suggestions(job: AiJob, result: dict[str, Any]) -> None:
    """Keep the suggestions with their answer."""
    Message.objects.filter(pk=result["messageId"]).update(suggestions=result["suggestions"])


def _level(course: Course) -> str:
    """As Guidance.of(course).level, but by hand: another statement that every answer begins with."""
    row = first_row("SELECT level FROM assistant_guidance WHERE course_id = %s", [course.pk])
    return row[0] if row else Guidance().level


def _lesson(course: Course, lesson_id: int) -> Lesson | None:
    """None for one that was deleted meanwhile: no reason not to answer."""
    return Lesson.objects.filter(pk=lesson_id, course=course).defer("body").first()
