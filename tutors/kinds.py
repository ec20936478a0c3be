"""The copilot's kinds of jobs: what each loads, runs and saves."""

from __future__ import annotations

from typing import Any

from conversations.kinds import AnswerKind, add_answer
from jobs.kinds import JobKind, Refusal, Result, Run
from jobs.models import AiJob
from tutors import pipeline, rows
from tutors.content import QuizQuestion, Reply
from tutors.pipeline import Outcome


async def copilot(run: Run) -> dict[str, Any]:
    """Do what the tutor's message asks for."""
    course, task = await run.db(rows.task_of, run.job)
    outcome: Outcome = await pipeline.help_tutor(task, run.llm, rows.CourseSources(run, course), run)
    return outcome.model_dump()


async def redraft(run: Run) -> dict[str, Any]:
    """Rewrite one draft."""
    draft = await run.db(rows.redraft_of, run.job)
    run.progress("answering")
    content = await _another(run, draft)
    if content is None:
        raise Refusal("no_question", "No other question came that rests on a passage. The draft is as it was.")
    return {"draftId": str(run.job.payload["draftId"]), "content": content.model_dump()}


async def _another(run: Run, draft: rows.Redraft) -> Reply | QuizQuestion | None:
    sources = rows.CourseSources(run, draft.course)
    if isinstance(draft.content, Reply):
        return await pipeline.another_reply(draft.course.title, draft.content, draft.instruction, run.llm, sources)
    passages = await sources.lesson(int(draft.content.passage.lessonId))
    taken = [draft.content, *draft.others]
    return await pipeline.another_question(draft.course.title, taken, passages, draft.instruction, run.llm)


def save_outcome(job: AiJob, result: Result) -> None:
    """Add the answer to the conversation, and its drafts to the course's."""
    add_answer(job, result)
    rows.add_drafts(job, result)


COPILOT = AnswerKind("tutors.copilot", copilot, save_outcome, priority=1)
REDRAFT = JobKind("tutors.redraft", redraft, rows.save_redraft, priority=1)
