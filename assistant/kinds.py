"""The assistant's kinds of jobs, as the engine knows them: what they load, run and save."""

from __future__ import annotations

import functools
from typing import Any

from assistant import pipeline, rows
from courses import ingestion, reading, search
from courses.grounding import Passage, found
from jobs.kinds import JobKind
from jobs.worker.run import Run
from llm.errors import Kind, LlmError

EMBEDDING_BATCH = 64


async def answer(run: Run) -> dict[str, Any]:
    """Answer the question that the payload names."""
    case = await run.db(rows.case_of, run.job)

    async def find(words: str, vector: list[float] | None) -> list[Passage]:
        if case.lesson_id:
            return found(await run.db(reading.beside, case.lesson_id, case.course_id, words, vector))
        return found(await run.db(search.hybrid, case.course_id, words, vector))

    try:
        return (await pipeline.answer(case.question, case.setting, run.llm, find, run)).model_dump()
    except LlmError as error:
        if error.kind is Kind.PAUSED:  # the next attempt's text takes the place of this
            run.show(pipeline.in_the_meantime(await find(case.question.text, None)))
        raise


async def suggest(run: Run) -> dict[str, Any]:
    """Suggest questions that may follow an answer: better none than late ones."""
    said = await run.db(rows.newest_exchange, run.job)
    if said is None:
        return {}
    try:
        suggestions = await pipeline.suggest(said.course, said.topics, said.question, said.answer, run.llm)
    except LlmError:
        return {}
    return {**run.job.payload, "suggestions": suggestions}


async def embed(run: Run) -> dict[str, Any]:
    """Embed the passages of a course that have no embedding yet, batch by batch."""
    count = 0
    fetch = functools.partial(ingestion.unembedded, run.job.payload["courseId"], EMBEDDING_BATCH)
    while waiting := await run.db(fetch):
        vectors = await run.llm.embed("ingestion", [text for _, text in waiting])
        await run.db(ingestion.save_embeddings, {pk: v for (pk, _), v in zip(waiting, vectors, strict=True)})
        count += len(waiting)
    return {"embedded": count}


ANSWER = JobKind("assistant.answer", answer, rows.save_answer)
SUGGESTIONS = JobKind("assistant.suggestions", suggest, rows.save_suggestions, deadline=30, priority=2)
EMBEDDING = JobKind("assistant.embedding", embed, deadline=1800, priority=2)
