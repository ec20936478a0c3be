"""The copilot's kinds of jobs, as the engine knows them: what they load, run and save."""

from __future__ import annotations

from typing import Any

from jobs.kinds import JobKind, Refusal
from jobs.worker.run import Run
from tutors import actions, pipeline, rows
from tutors.content import QuizQuestion, Reply
from tutors.pipeline import Outcome


async def copilot(run: Run) -> dict[str, Any]:
    """Do what the tutor's message asks for."""
    course, task = await run.db(rows.task_of, run.job)
    outcome: Outcome = await pipeline.help_tutor(task, run.llm, rows.Material(run, course), run)
    return outcome.model_dump()


async def redraft(run: Run) -> dict[str, Any]:
    """Write one draft anew."""
    draft = await run.db(rows.redraft_of, run.job)
    run.progress("answering")
    content = await _another(run, draft)
    if content is None:
        raise Refusal("no_question", "No other question came that rests on a passage. The draft is as it was.")
    return {"draftId": str(run.job.payload["draftId"]), "content": content.model_dump()}


async def _another(run: Run, draft: rows.Redraft) -> Reply | QuizQuestion | None:
    material = rows.Material(run, draft.course)
    if isinstance(draft.content, Reply):
        return await pipeline.another_reply(draft.course.title, draft.content, draft.instruction, run.llm, material)
    passages = await material.lesson(int(draft.content.passage.lessonId))
    taken = [draft.content, *draft.others]
    return await pipeline.another_question(draft.course.title, taken, passages, draft.instruction, run.llm)


COPILOT = JobKind(actions.COPILOT, copilot, rows.save_outcome, priority=1)
REDRAFT = JobKind(actions.REDRAFT, redraft, rows.save_redraft, priority=1)
