"""A learner's own thread, with the name: only with a permission of its own, and every opening is noted."""

from __future__ import annotations

from typing import Any

from config.errors import Problem
from conversations.models import Conversation
from courses.models import Course
from jobs import disclosure
from tutors import insights

PERMISSION = "tutors.open_learner_thread"


def may_open(user: Any) -> bool:
    """Whether this tutor may see who asked, in the courses that he or she teaches."""
    return user.is_active and user.has_perm(PERMISSION)


def open_thread(user: Any, course: Course, question_id: int) -> Conversation:
    """The conversation in which a learner of this course asked this. The opening is noted.

    Problem 403 without the permission, 404 for what is no learner's question in this course.
    """
    if not may_open(user):
        raise Problem(403, "forbidden", "Opening a learner's thread takes a permission of its own.")
    question = insights.questions_in(course).filter(pk=question_id).first()
    if question is None:
        raise Problem(404, "not_found", "There is no such question.")
    disclosure.note(user, f"conversation:{question.conversation_id}")
    return Conversation.objects.select_related("owner").prefetch_related("messages").get(pk=question.conversation_id)
