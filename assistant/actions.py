"""What people do with the course assistant: ask it, and as a tutor decide how it helps."""

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
    """Ask about a course, while reading this lesson of it. See conversations.actions.ask."""
    more = {"lessonId": lesson.pk} if lesson else {}
    return ask(submission, ANSWER, question, conversation_id, course=course, more=more)


def set_guidance(course: Course, level: str) -> None:
    """Decide how the assistant of this course helps."""
    Guidance.objects.update_or_create(course=course, defaults={"level": level})
