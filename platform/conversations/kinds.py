"""Summaries as the engine knows them: background work behind the conversations of all surfaces."""

from __future__ import annotations

from typing import Any

from conversations import pipeline, rows
from jobs.kinds import JobKind
from jobs.worker.run import Run


async def summarise(run: Run) -> dict[str, Any]:
    """Condense the older messages of a conversation."""
    summary, turns, upto = await run.db(rows.to_summarise, run.job)
    if not turns:
        return {}
    return {"summary": await pipeline.summarise(summary, turns, run.llm), "upto": upto}


SUMMARY = JobKind("conversations.summary", summarise, rows.save_summary, priority=2)
