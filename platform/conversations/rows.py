"""Database access of the jobs: loads questions with their history, saves answers and summaries."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Subquery
from django.utils import timezone

from config.sql import first_row
from conversations.models import Conversation, Message
from conversations.pipeline import QuestionInContext
from conversations.prompts import Turn
from courses.models import Course
from jobs.kinds import Refusal
from jobs.models import AiJob

RECENT_MESSAGES = 16  # the most earlier messages in a prompt
MAX_SUMMARISED_MESSAGES = 200  # the most that one summary adds; more than fit into its prompt


# Written by hand because every answer starts with it, and Django takes ten times as long to build the three statements
# that it replaces as Postgres takes to run them (docs/decisions/0020).
_ASKED = """
SELECT conversation.summary, course.id, course.title, owner.id, owner.is_active, owner.is_staff,
    owner.is_superuser, ARRAY(
    SELECT ARRAY[said.role, said.text] FROM (
        SELECT id, role, text FROM conversations_message
        WHERE conversation_id = conversation.id AND id <= %(message)s ORDER BY id DESC LIMIT %(count)s
    ) said ORDER BY said.id
)
FROM conversations_conversation conversation
LEFT JOIN courses_course course ON course.id = conversation.course_id
LEFT JOIN auth_user owner ON owner.id = conversation.owner_id
WHERE conversation.id = %(conversation)s
"""


def question_of(job: AiJob) -> tuple[Course | None, QuestionInContext]:
    """Return the question that this job answers, and its conversation's course (only id and title loaded).

    Raises Refusal if the conversation was deleted, or if the asker may no longer open the course: the job may have
    waited, or be a retry.
    """
    named = {"conversation": job.payload.get("conversationId"), "message": job.payload.get("messageId")}
    row = first_row(_ASKED, {**named, "count": RECENT_MESSAGES + 1})
    if row is None or not row[-1]:
        raise Refusal("gone", "This conversation no longer exists.")
    summary, course_id, title, *asker, said = row
    course = Course(pk=course_id, title=title) if course_id else None
    owner = User(**dict(zip(("pk", "is_active", "is_staff", "is_superuser"), asker, strict=True)))
    if course and not Course.objects.for_user(owner).filter(pk=course_id).exists():
        raise Refusal("not_enrolled", "You are no longer enrolled in this course.")
    *earlier, (_, question) = said
    return course, QuestionInContext(
        text=question, summary=summary, turns=[Turn(role=role, text=text) for role, text in earlier]
    )


class Added(NamedTuple):
    """The message of an answer. `unsummarised` counts the conversation's messages that no summary covers."""

    message_id: int
    unsummarised: int


# Written by hand, like _ASKED. If a cancelled attempt left partial text, the answer of the retry replaces it.
_ADD = """
WITH said AS (
    INSERT INTO conversations_message AS message
        (conversation_id, job_id, role, text, citations, rating, reason, suggestions, created_at)
    VALUES (%(conversation)s, %(job)s, 'assistant', %(text)s, %(citations)s, '', '', '[]', %(now)s)
    ON CONFLICT (job_id, role) DO UPDATE SET text = excluded.text, citations = excluded.citations, rating = '',
        reason = '', suggestions = '[]'
    RETURNING message.id
), touched AS (
    UPDATE conversations_conversation SET updated_at = %(now)s WHERE id = %(conversation)s RETURNING id, summarised_upto
)
SELECT said.id, 1 + (
    SELECT count(*) FROM conversations_message message
    WHERE message.conversation_id = touched.id AND message.id > touched.summarised_upto AND message.id <> said.id
)
FROM said, touched
"""


def add_answer(job: AiJob, result: dict[str, Any]) -> Added:
    """Add the answer to its conversation. The `save` of answering kinds calls this."""
    values = {
        "conversation": job.payload["conversationId"],
        "job": job.pk,
        "text": result["answer"],
        "citations": json.dumps(result["citations"]),
        "now": timezone.now(),
    }
    row = first_row(_ADD, values)
    assert row is not None, "a conversation is deleted together with its jobs' text, and this job still has its text"
    return Added(*row)


def newest_message(conversation_id: str) -> int:
    """Return the id of the conversation's newest message."""
    return Message.objects.filter(conversation_id=UUID(conversation_id)).latest("pk").pk


def to_summarise(job: AiJob) -> tuple[str, list[tuple[int, Turn]]]:
    """Return the summary so far, and the oldest messages that it does not cover, each with its id."""
    conversation = Conversation.objects.get(pk=job.payload["conversationId"])
    waiting = conversation.messages.filter(pk__gt=conversation.summarised_upto, pk__lte=job.payload["upto"])
    messages = waiting.order_by("pk")[:MAX_SUMMARISED_MESSAGES]
    return conversation.summary, [(message.pk, Turn(role=message.role, text=message.text)) for message in messages]


def unsummarised(conversation_id: str) -> int:
    """Count the conversation's messages that its summary does not cover."""
    upto = Conversation.objects.filter(pk=UUID(conversation_id)).values("summarised_upto")
    return Message.objects.filter(conversation=UUID(conversation_id), pk__gt=Subquery(upto)).count()


def save_summary(job: AiJob, result: dict[str, Any]) -> None:
    """Store the summary unless a newer one is already stored."""
    Conversation.objects.filter(pk=job.payload["conversationId"], summarised_upto__lt=result["upto"]).update(
        summary=result["summary"], summarised_upto=result["upto"]
    )
