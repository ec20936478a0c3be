"""The assistant's kinds: what each loads, runs and saves."""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import Any

from assistant import pipeline, rows
from conversations.kinds import AnswerKind, add_answer
from courses import ingestion, search
from courses.grounding import PromptPassage, found
from jobs.kinds import JobKind, Refusal, Result, Run
from jobs.models import AiJob
from jobs.submission import SubjectBusy, Submission, submit
from llm.errors import ErrorKind, LlmError

EMBEDDING_BATCH = 64


async def answer(run: Run) -> Result:
    """Answer the question of this job."""
    case = await run.db(rows.case_of, run.job)

    async def find(words: str, vector: list[float] | None) -> list[PromptPassage]:
        if case.lesson_id:
            return found(await run.db(search.beside_lesson, case.lesson_id, case.course_id, words, vector))
        return found(await run.db(search.hybrid, case.course_id, words, vector))

    try:
        return (await pipeline.answer(case.question, case.setting, run.llm, find, run)).model_dump()
    except LlmError as error:
        if error.kind is ErrorKind.PAUSED:  # the next attempt replaces this text
            run.show(pipeline.in_the_meantime(await find(case.question.text, None)))
        raise


def save_answer(job: AiJob, result: Result) -> None:
    """Add the answer to its conversation, and submit a job that suggests follow-up questions."""
    message_id = add_answer(job, result)
    if job.status == AiJob.Status.COMPLETED and result["citations"]:
        conversation_id = job.payload["conversationId"]
        payload = {"conversationId": conversation_id, "messageId": str(message_id), "jobId": str(job.pk)}
        with suppress(SubjectBusy):  # suggestions for an earlier answer are being written
            submit(Submission(job.person), SUGGESTIONS, payload, subject=job.subject)


async def suggest(run: Run) -> Result:
    """Suggest follow-up questions. Returns none if the upstream fails, because late suggestions are useless."""
    exchange = await run.db(rows.newest_exchange, run.job)
    if exchange is None:
        return {}
    try:
        suggestions = await pipeline.suggest(
            exchange.course, exchange.topics, exchange.question, exchange.answer, run.llm
        )
    except LlmError:
        return {}
    return {**run.job.payload, "suggestions": suggestions}


async def embed(run: Run) -> dict[str, Any]:
    """Embed the passages of a course that have no embedding yet, in batches.

    Passages that the model rejects are marked, and the others are embedded. Raises Refusal if it rejects all of a batch
    before it has accepted any.
    """
    embedded, rejected, last = 0, 0, 0
    fetch = functools.partial(ingestion.unembedded, run.job.payload["courseId"], EMBEDDING_BATCH)
    while waiting := await run.db(fetch, last):
        outcomes = await pipeline.embed([text for _, text in waiting], run.llm)
        by_id = {pk: outcome for (pk, _), outcome in zip(waiting, outcomes, strict=True)}
        vectors = {pk: outcome for pk, outcome in by_id.items() if not isinstance(outcome, str)}
        problems = {pk: outcome for pk, outcome in by_id.items() if isinstance(outcome, str)}
        await run.db(ingestion.save_embeddings, vectors)
        await run.db(ingestion.mark_rejected, problems)
        embedded, rejected, last = embedded + len(vectors), rejected + len(problems), waiting[-1][0]
        if rejected and not embedded:
            raise Refusal("not_embedded", "The embedding model rejected every passage. The passages' pages say why.")
    return {"embedded": embedded, "rejected": rejected} if rejected else {"embedded": embedded}


ANSWER = AnswerKind("assistant.answer", answer, save_answer)
SUGGESTIONS = JobKind("assistant.suggestions", suggest, rows.save_suggestions, deadline=30, priority=2)
EMBEDDING = JobKind("assistant.embedding", embed, deadline=1800, priority=2)
