"""The tables behind the pipelines: what was said before a question, and where answers and summaries go."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.db.models import F
from django.utils import timezone

from accounts.people import SYSTEM
from conversations.models import Conversation, Message
from conversations.pipeline import Question
from conversations.prompts import Turn
from courses.models import Course
from jobs import submission
from jobs.kinds import Refusal
from jobs.models import AiJob
from jobs.submission import SubjectBusy

SUMMARISE_EVERY = 16  # messages
RECENT = 16  # messages that a prompt may hold word for word, budget permitting


def question_of(job: AiJob) -> tuple[Conversation, Question]:
    """The question that this job answers, and its conversation, with the course if it is about one.

    Raises Refusal when the conversation is deleted, and when the asker may no longer open the course: a job may have
    waited, or be a retry.
    """
    named = Conversation.objects.filter(pk=job.payload.get("conversationId"))
    conversation = named.select_related("course", "owner").first()
    if conversation is None:
        raise Refusal("gone", "This conversation is not there any more.")
    course = conversation.course
    if course and not Course.objects.for_user(conversation.owner).filter(pk=course.pk).exists():
        raise Refusal("not_enrolled", "You are not enrolled in this course any more.")
    said = Message.objects.filter(conversation=conversation, pk__lte=job.payload["messageId"]).order_by("-pk")
    *earlier, question = _turns(reversed(said[: RECENT + 1]))
    return conversation, Question(text=question.text, summary=conversation.summary, turns=earlier)


def save_answer(job: AiJob, result: dict[str, Any]) -> Message:
    """Add the answer to its conversation; every so often, have the older messages summarised.

    For the `save` of most surfaces' kinds that answer.
    """
    answer = keep_answer(job, result)
    conversation_id = job.payload["conversationId"]
    unsummarised = Message.objects.filter(conversation=conversation_id, pk__gt=F("conversation__summarised_upto"))
    if unsummarised.count() >= SUMMARISE_EVERY:
        _submit_summary(Conversation.objects.get(pk=conversation_id))
    return answer


def keep_answer(job: AiJob, result: dict[str, Any]) -> Message:
    """Add the answer to its conversation, and no more: for surfaces that go without summaries."""
    conversation_id, said = job.payload["conversationId"], {"text": result["answer"], "citations": result["citations"]}
    Conversation.objects.filter(pk=conversation_id).update(updated_at=timezone.now())
    if job.attempt > 1:  # a stopped answer left its partial text; asked for again, the whole one takes its place
        earlier = Message.objects.filter(job_id=job.pk, role=Message.Role.ASSISTANT)
        if earlier.update(**said, rating="", reason="", suggestions=[]):
            return earlier.get()
    return Message.objects.create(conversation_id=conversation_id, role=Message.Role.ASSISTANT, job_id=job.pk, **said)


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
