"""The tables behind the pipelines: what was said before a question, and where answers and summaries go."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from accounts.people import SYSTEM
from config.sql import first_row
from conversations.models import Conversation
from conversations.pipeline import Question
from conversations.prompts import Turn
from courses.models import Course
from jobs import submission
from jobs.kinds import Refusal
from jobs.models import AiJob
from jobs.submission import SubjectBusy

SUMMARISE_EVERY = 16  # messages
RECENT = 16  # messages that a prompt may hold word for word, budget permitting


# One statement by hand: every answer begins with it, and Django takes ten times as long to build the three that it
# replaces as Postgres takes to answer (docs/decisions/0020).
_ASKED = """
SELECT conversation.summary, course.id, course.title, owner.id, owner.is_staff, ARRAY(
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


def question_of(job: AiJob) -> tuple[Course | None, Question]:
    """The question that this job answers, and the course that its conversation is about.

    Of the course only id and title are read. Raises Refusal when the conversation is deleted, and when the asker may
    no longer open the course: a job may have waited, or be a retry.
    """
    named = {"conversation": job.payload.get("conversationId"), "message": job.payload.get("messageId")}
    row = first_row(_ASKED, {**named, "count": RECENT + 1})
    if row is None or not row[-1]:
        raise Refusal("gone", "This conversation is not there any more.")
    summary, course_id, title, owner_id, is_staff, said = row
    course = Course(pk=course_id, title=title) if course_id else None
    if course and not Course.objects.for_user(User(pk=owner_id, is_staff=is_staff)).filter(pk=course_id).exists():
        raise Refusal("not_enrolled", "You are not enrolled in this course any more.")
    *earlier, (_, question) = said
    return course, Question(
        text=question, summary=summary, turns=[Turn(role=role, text=text) for role, text in earlier]
    )


def save_answer(job: AiJob, result: dict[str, Any]) -> int:
    """Add the answer to its conversation, as a message of this id; every so often, have the older ones summarised.

    For the `save` of most surfaces' kinds that answer.
    """
    answer_id, unsummarised = _add(job, result)
    if unsummarised >= SUMMARISE_EVERY:
        _submit_summary(Conversation.objects.get(pk=job.payload["conversationId"]))
    return answer_id


def keep_answer(job: AiJob, result: dict[str, Any]) -> int:
    """Add the answer to its conversation, and no more: for surfaces that go without summaries."""
    return _add(job, result)[0]


# One statement by hand, like that which an answer begins with. An answer that was stopped left its partial text; asked
# for again, the whole one takes its place.
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


def _add(job: AiJob, result: dict[str, Any]) -> tuple[int, int]:
    """The id of the answer, now a message, and how many messages of its conversation are in no summary."""
    values = {
        "conversation": job.payload["conversationId"],
        "job": job.pk,
        "text": result["answer"],
        "citations": json.dumps(result["citations"]),
        "now": timezone.now(),
    }
    row = first_row(_ADD, values)
    assert row is not None, "a conversation goes together with the text of its jobs, and this one has its text"
    return row[0], row[1]


def to_summarise(job: AiJob) -> tuple[str, list[Turn], int]:
    """(summary so far, messages that it lacks, id of the last of them)."""
    conversation = Conversation.objects.get(pk=job.payload["conversationId"])
    messages = list(conversation.messages.filter(pk__gt=conversation.summarised_upto, pk__lte=job.payload["upto"]))
    upto = messages[-1].pk if messages else 0
    return conversation.summary, _turns(messages), upto


def save_summary(job: AiJob, result: dict[str, Any]) -> None:
    """Store the summary, unless a newer one is there."""
    Conversation.objects.filter(pk=job.payload["conversationId"], summarised_upto__lt=result["upto"]).update(
        summary=result["summary"], summarised_upto=result["upto"]
    )


def _submit_summary(conversation: Conversation) -> None:
    newest = conversation.messages.latest("pk")
    payload = {"conversationId": str(conversation.pk), "upto": newest.pk}
    with suppress(SubjectBusy):  # a summary is under way; the next answer asks for the next one
        submission.submit(submission.Request(SYSTEM), "conversations.summary", payload, subject=conversation.subject)


def _turns(messages: Any) -> list[Turn]:
    return [Turn(role=message.role, text=message.text) for message in messages]
