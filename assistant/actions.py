"""What a learner does: ask."""

from __future__ import annotations

from uuid import UUID

from assistant.models import Conversation, Message
from config.errors import Problem
from courses.models import Course
from jobs import submission
from jobs.models import AiJob

TITLE_LENGTH = 80


def ask(wish: submission.Request, course: Course, question: str, conversation_id: UUID | None) -> AiJob:
    """Write the question down and submit the job that answers it. Runs in the caller's transaction.

    Raises Problem 404 for a conversation that is not the asker's, SubjectBusy while another answer is being written.
    """
    conversation = _conversation(wish, course, question, conversation_id)
    message = Message.objects.create(conversation=conversation, role=Message.Role.USER, text=question)
    payload = {"conversationId": str(conversation.pk), "messageId": str(message.pk)}
    job = submission.submit(wish, "assistant.answer", payload, subject=conversation.subject)
    Message.objects.filter(pk=message.pk).update(job=job)
    return job


def _conversation(
    wish: submission.Request, course: Course, question: str, conversation_id: UUID | None
) -> Conversation:
    owner_id = wish.person.user_id
    assert owner_id is not None, "only people who signed in may ask about a course"
    if conversation_id is None:
        return Conversation.objects.create(owner_id=owner_id, course=course, title=_title(question))
    try:
        return Conversation.objects.get(pk=conversation_id, owner_id=owner_id, course=course)
    except Conversation.DoesNotExist:
        raise Problem(404, "not_found", "There is no such conversation.") from None


def _title(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"
