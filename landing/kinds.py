"""The landing assistant's kind of jobs, as the engine knows it: what it loads, runs and saves."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from accounts.networks import network_of
from accounts.people import Person
from conversations.rows import keep_answer, question_of
from jobs.kinds import JobKind
from jobs.worker.run import Run
from landing import actions, budget, pipeline, rows
from llm.errors import Kind, LlmError


async def answer(run: Run) -> dict[str, Any]:
    """Answer the question that the payload names."""
    await run.db(budget.check_run)
    _, question = await run.db(question_of, run.job)
    run.progress("searching")
    facts = await run.db(rows.facts_for, pipeline.words_of(question))
    try:
        return (await pipeline.answer(question, facts, run.llm, run)).model_dump()
    except LlmError as error:
        if error.kind is Kind.PAUSED:  # the next attempt's text takes the place of this
            run.show(pipeline.in_the_meantime())
        raise


def _admit_again(request: HttpRequest, person: Person) -> None:
    actions.admit(person, network_of(request))


# No summaries: every call of this surface is one that its budget knows of.
ANSWER = JobKind(budget.KIND, answer, keep_answer, deadline=60, priority=1, admit_again=_admit_again)
