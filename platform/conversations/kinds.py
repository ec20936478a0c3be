"""The base of kinds that answer in conversations, and the kind that summarises conversations."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rest_framework import serializers

from accounts.people import SYSTEM
from conversations import pipeline, rows
from courses.api import CitationSerializer
from jobs.kinds import JobKind, Result, Run
from jobs.models import AiJob
from jobs.submission import SubjectBusy, Submission, submit

MAX_UNSUMMARISED_MESSAGES = 16


@dataclass(frozen=True)
class AnswerKind(JobKind):
    """A kind whose result is an answer in Markdown with citations, saved as a message of a conversation."""

    told: tuple[str, ...] = ("conversationId", "messageId")

    def partial(self, text: str) -> Result:
        """Return the result of a cancelled job: the text written so far."""
        return {"answer": text, "citations": []}

    def text(self, result: Result) -> str:
        """Return the answer."""
        return str(result["answer"])

    def shown(self, result: Result) -> dict[str, Any]:
        """Return the answer and its citations. Other parts of a result are internal to the surface."""
        return {"answer": result["answer"], "citations": result.get("citations", [])}

    def fields(self) -> dict[str, serializers.Field]:
        """Return the fields that `shown` adds to a job's schema."""
        return {
            "answer": serializers.CharField(required=False, help_text="Markdown; for text jobs."),
            "citations": CitationSerializer(many=True, required=False),
        }


async def summarise(run: Run) -> Result:
    """Summarise the older messages of a conversation, or as many of them as fit into one prompt."""
    summary, messages = await run.db(rows.to_summarise, run.job)
    if not messages:
        return {}
    text, covered = await pipeline.summarise(summary, [turn for _, turn in messages], run.llm)
    return {"summary": text, "upto": messages[covered - 1][0]}


def save_summary(job: AiJob, result: Result) -> None:
    """Store the summary, and submit the next summary job if many messages are left that it does not cover."""
    rows.save_summary(job, result)
    if rows.unsummarised(job.payload["conversationId"]) >= MAX_UNSUMMARISED_MESSAGES:
        submit_summary(job)


SUMMARY = JobKind("conversations.summary", summarise, save_summary, priority=2)


def add_answer(job: AiJob, result: Result) -> int:
    """Add the answer to its conversation and return the id of its message.

    Submits a summary job once MAX_UNSUMMARISED_MESSAGES messages are not summarised.
    """
    added = rows.add_answer(job, result)
    if added.unsummarised >= MAX_UNSUMMARISED_MESSAGES:
        submit_summary(job)
    return added.message_id


def save_answer(job: AiJob, result: Result) -> None:
    """Add the answer to its conversation. Kinds use this as their `save`."""
    add_answer(job, result)


def save_without_summary(job: AiJob, result: Result) -> None:
    """Add the answer to its conversation without submitting summaries."""
    rows.add_answer(job, result)


def submit_summary(job: AiJob) -> None:
    """Submit a job that summarises this job's conversation up to its newest message."""
    conversation_id = job.payload["conversationId"]
    payload = {"conversationId": conversation_id, "upto": rows.newest_message(conversation_id)}
    with suppress(SubjectBusy):  # a summary job is active; a later answer submits the next one
        submit(Submission(SYSTEM), SUMMARY, payload, subject=job.subject)
