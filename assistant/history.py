"""The tables behind the pipeline: what was said before a question, and where answers and summaries go."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from accounts.people import SYSTEM
from assistant.models import Conversation, Message
from assistant.pipeline import Question
from assistant.prompts import Turn
from courses.models import Course
from jobs import submission
from jobs.kinds import Refusal
from jobs.models import AiJob
from jobs.submission import SubjectBusy

SUMMARISE_EVERY = 16  # messages
RECENT = 16  # messages that a prompt may hold word for word, budget permitting


def question_of(job: AiJob) -> tuple[int, Question]:
    """The course's id and the question that this job answers, with the conversation before it.

    Raises Refusal when the asker may no longer open the course: a job may have waited, or be a retry.
    """
    message = Message.objects.select_related("conversation__course", "conversation__owner").get(
        pk=job.payload["messageId"]
    )
    conversation = message.conversation
    if not Course.objects.for_user(conversation.owner).filter(pk=conversation.course_id).exists():
        raise Refusal("not_enrolled", "You are not enrolled in this course any more.")
    earlier = conversation.messages.filter(pk__lt=message.pk).order_by("-pk")[:RECENT]
    return conversation.course_id, Question(
        text=message.text,
        course=conversation.course.title,
        summary=conversation.summary,
        turns=_turns(reversed(earlier)),
    )


def save_answer(job: AiJob, result: dict[str, Any]) -> None:
    """Add the answer to its conversation; every so often, have the older messages summarised."""
    conversation = Conversation.objects.select_for_update().get(pk=job.payload["conversationId"])
    # A stopped answer left its partial text; asked for again, the whole one takes its place.
    Message.objects.update_or_create(
        conversation=conversation,
        role=Message.Role.ASSISTANT,
        job=job,
        defaults={"text": result["answer"], "citations": result["citations"]},
    )
    conversation.save(update_fields=["updated_at"])
    unsummarised = conversation.messages.filter(pk__gt=conversation.summarised_upto).count()
    if unsummarised >= SUMMARISE_EVERY:
        _submit_summary(conversation)


def to_summarise(job: AiJob) -> tuple[str, str, list[Turn], int]:
    """(course title, summary so far, messages that it lacks, id of the last of them)."""
    conversation = Conversation.objects.select_related("course").get(pk=job.payload["conversationId"])
    messages = list(conversation.messages.filter(pk__gt=conversation.summarised_upto, pk__lte=job.payload["upto"]))
    upto = messages[-1].pk if messages else 0
    return conversation.course.title, conversation.summary, _turns(messages), upto


def save_summary(job: AiJob, result: dict[str, Any]) -> None:
    """Store the summary, unless a newer one is there."""
    Conversation.objects.filter(pk=job.payload["conversationId"], summarised_upto__lt=result["upto"]).update(
        summary=result["summary"], summarised_upto=result["upto"]
    )


def _submit_summary(conversation: Conversation) -> None:
    newest = conversation.messages.latest("pk")
    payload = {"conversationId": str(conversation.pk), "upto": newest.pk}
    with suppress(SubjectBusy):  # a summary is under way; the next answer asks for the next one
        submission.submit(submission.Request(SYSTEM), "assistant.summary", payload, subject=conversation.subject)


def _turns(messages: Any) -> list[Turn]:
    return [Turn(role=message.role, text=message.text) for message in messages]
