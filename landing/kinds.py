"""The landing assistant's kind: what it loads, runs and saves."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from accounts.networks import network_of
from accounts.people import Person
from conversations.kinds import AnswerKind, save_without_summary
from conversations.rows import question_of
from jobs.kinds import Run
from landing import admission, budget, pipeline, rows
from llm.errors import ErrorKind, LlmError


async def answer(run: Run) -> dict[str, Any]:
    """Answer the question of this job."""
    await run.db(budget.check_run, run.job.kind)
    _, question = await run.db(question_of, run.job)
    run.progress("searching")
    facts = await run.db(rows.facts_for, pipeline.words_of(question))
    try:
        return (await pipeline.answer(question, facts, run.llm, run)).model_dump()
    except LlmError as error:
        if error.kind is ErrorKind.PAUSED:  # the next attempt replaces this text
            run.show(pipeline.in_the_meantime())
        raise


def _admit_again(request: HttpRequest, person: Person) -> None:
    admission.count_question(person, network_of(request))
    budget.admit(ANSWER.name, more=1)


# No summaries, because the budget covers only the calls that write answers.
ANSWER = AnswerKind("landing.answer", answer, save_without_summary, deadline=60, priority=1, admit_again=_admit_again)
