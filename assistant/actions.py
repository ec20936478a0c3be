"""Actions of the course assistant: ask a question, set the guidance level."""

from __future__ import annotations

from uuid import UUID

from assistant.kinds import ANSWER
from assistant.models import Guidance
from conversations.actions import ask
from courses.models import Course, Lesson
from jobs.models import AiJob
from jobs.submission import Submission


def ask_about(
    submission: Submission, course: Course, lesson: Lesson | None, question: str, conversation_id: UUID | None
) -> AiJob:
    """Ask about a course; `lesson` is the one being read, if any. See conversations.actions.ask."""
    more = {"lessonId": lesson.pk} if lesson else {}
    return ask(submission, ANSWER, question, conversation_id, course=course, more=more)


def set_guidance(course: Course, level: str) -> None:
    """Set the guidance level of this course's assistant."""
    Guidance.objects.update_or_create(course=course, defaults={"level": level})
