"""Actions of the course assistant: ask a question, set the guidance level."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from assistant.kinds import ANSWER
from assistant.models import Guidance
from config import staff
from conversations.actions import ask
from courses.models import Course, Lesson
from jobs.models import AiJob
from jobs.submission import Submission

CHANGE_GUIDANCE = "assistant.change_guidance"


def ask_about(
    submission: Submission, course: Course, lesson: Lesson | None, question: str, conversation_id: UUID | None
) -> AiJob:
    """Ask about a course; `lesson` is the one being read, if any. See conversations.actions.ask."""
    more = {"lessonId": lesson.pk} if lesson else {}
    return ask(submission, ANSWER, question, conversation_id, course=course, more=more)


def may_guide(user: Any, course: Course) -> bool:
    """Return whether this user may set the course's guidance level: its tutors, and staff who may in the admin."""
    return staff.may(user, CHANGE_GUIDANCE) or course.is_taught_by(user)


@transaction.atomic
def set_guidance(user: Any, course: Course, level: str, via: str) -> None:
    """Set the guidance level of this course's assistant. Recorded if the user does not teach the course."""
    guidance, _ = Guidance.objects.update_or_create(course=course, defaults={"level": level})
    if not course.is_taught_by(user):
        staff.Acting(user, via).record(guidance, f"Level set to {level}")
