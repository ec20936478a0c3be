"""What people do in conversations with any surface: ask, rate an answer, rename, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from accounts.people import Person
from conversations.access import own_conversation
from conversations.models import Conversation, Message
from courses.models import Course
from jobs.actions import erase, hold
from jobs.kinds import JobKind
from jobs.models import AiJob
from jobs.submission import Submission, submit

MAX_TITLE_CHARS = 80


def ask(
    submission: Submission,
    kind: JobKind,
    question: str,
    conversation_id: UUID | None,
    *,
    course: Course | None = None,
    more: Mapping[str, Any] | None = None,
) -> AiJob:
    """Store the question and submit the job of this kind that answers it. Runs in the caller's transaction.

    Without a conversation id it starts a conversation, with the kind's surface and this course. `more` is added to the
    job's payload and must hold ids only, no people's text. Raises Problem 404 if the person has no such conversation
    with this surface and course, and SubjectBusy while another answer is being written.
    """
    conversation = _conversation(submission.person, kind.surface, course, question, conversation_id)
    job_id = uuid4()
    message = Message.objects.create(conversation=conversation, role=Message.Role.USER, text=question, job_id=job_id)
    payload = {"conversationId": str(conversation.pk), "messageId": str(message.pk), **(more or {})}
    return submit(submission, kind, payload, subject=conversation.subject, job_id=job_id)


def rate(answer: Message, rating: str, reason: str) -> None:
    """Store the rating of an answer and its reason. An empty rating removes both."""
    Message.objects.filter(pk=answer.pk).update(rating=rating, reason=reason if rating else "")


def rename(conversation: Conversation, title: str) -> None:
    """Change the title. `updated_at` stays, so the conversation keeps its position in lists."""
    Conversation.objects.filter(pk=conversation.pk).update(title=title)


@transaction.atomic
def delete(conversation: Conversation) -> None:
    """Permanently delete the conversation, and its text in jobs and events. The jobs' costs stay."""
    jobs = AiJob.objects.filter(subject=conversation.subject)
    hold(jobs)
    if Conversation.objects.select_for_update().filter(pk=conversation.pk).exists():
        erase(jobs)
        conversation.delete()


def _conversation(
    person: Person, surface: str, course: Course | None, question: str, conversation_id: UUID | None
) -> Conversation:
    if conversation_id is None:
        return Conversation.objects.create(
            surface=surface, owner_id=person.user_id, visitor=person.visitor, course=course, title=_title(question)
        )
    # Locked, so that nobody deletes it while the question is stored.
    locked = Conversation.objects.select_for_update(no_key=True)
    return own_conversation(person, conversation_id, locked, surface=surface, course=course)


def _title(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1].rstrip() + "…"
