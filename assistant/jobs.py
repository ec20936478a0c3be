"""The assistant's kinds of jobs, as the engine knows them: what they load, run and save."""

from __future__ import annotations

import functools
from typing import Any

from assistant import pipeline
from conversations import history
from courses import ingestion, search
from courses.grounding import Passage, found
from jobs import kinds
from jobs.runner import Run
from llm.errors import Kind, LlmError

EMBEDDING_BATCH = 64


async def answer(run: Run) -> dict[str, Any]:
    """Answer the question that the payload names."""
    conversation, question = await run.db(history.question_of, run.job)
    course = conversation.course
    assert course is not None, "questions to the assistant are about a course"

    async def find(words: str, vector: list[float] | None) -> list[Passage]:
        return found(await run.db(search.hybrid, course.pk, words, vector))

    try:
        return (await pipeline.answer(question, course.title, run.llm, find, run)).model_dump()
    except LlmError as error:
        if error.kind is Kind.PAUSED:  # the next attempt's text takes the place of this
            run.show(pipeline.in_the_meantime(await find(question.text, None)))
        raise


async def embed(run: Run) -> dict[str, Any]:
    """Embed the passages of a course that have no embedding yet, batch by batch."""
    count = 0
    fetch = functools.partial(ingestion.unembedded, run.job.payload["courseId"], EMBEDDING_BATCH)
    while waiting := await run.db(fetch):
        vectors = await run.llm.embed("ingestion", [text for _, text in waiting])
        await run.db(ingestion.save_embeddings, {pk: v for (pk, _), v in zip(waiting, vectors, strict=True)})
        count += len(waiting)
    return {"embedded": count}


ANSWER = kinds.register(kinds.JobKind("assistant.answer", kinds.INTERACTIVE, answer, history.save_answer))
EMBEDDING = kinds.register(kinds.JobKind("assistant.embedding", kinds.BACKGROUND, embed, deadline=1800, priority=2))
