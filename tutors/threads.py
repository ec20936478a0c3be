"""Opens a learner's conversation with the name. It needs its own permission, and every reading is noted."""

from __future__ import annotations

from typing import Any

from config.errors import Problem
from conversations.models import Conversation
from courses.models import Course
from jobs import disclosure
from tutors import insights

PERMISSION = "tutors.open_learner_thread"


def may_open(user: Any) -> bool:
    """Return whether this tutor may see who asked, in the courses that the tutor teaches."""
    return user.is_active and user.has_perm(PERMISSION)


def open_thread(user: Any, course: Course, question_id: int) -> Conversation:
    """Return the conversation of a learner's question in this course, and note the reading.

    Raises Problem 403 without the permission, 404 if no learner of this course asked such a question.
    """
    if not may_open(user):
        raise Problem(403, "forbidden", "You need a permission to open a learner's conversation.")
    question = insights.questions_in(course).filter(pk=question_id).first()
    if question is None:
        raise Problem(404, "not_found", "There is no such question.")
    disclosure.note(user, f"conversation:{question.conversation_id}")
    return Conversation.objects.select_related("owner").prefetch_related("messages").get(pk=question.conversation_id)
