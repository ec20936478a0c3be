"""The surface's kind: what it loads, runs and saves."""

from __future__ import annotations

from flashcards import pipeline, rows
from jobs.kinds import JobKind, Result, Run


async def write(run: Run) -> Result:
    """Write the cards of this job."""
    lesson, passages = await run.db(rows.lesson_of, run.job)
    run.progress("answering")
    return (await pipeline.write(lesson, passages, run.job.payload["count"], run.llm)).model_dump()


CARDS = JobKind("flashcards.cards", write, rows.save, deadline=60, priority=1)
