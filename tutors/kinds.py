"""The copilot's kinds: what each loads, runs and saves."""

from __future__ import annotations

from typing import Any

from conversations.kinds import AnswerKind, add_answer
from jobs.kinds import JobKind, Refusal, Result, Run
from jobs.models import AiJob
from tutors import pipeline, rows
from tutors.content import QuizQuestion, Reply
from tutors.pipeline import Outcome


async def copilot(run: Run) -> dict[str, Any]:
    """Carry out the tutor's request."""
    course, task = await run.db(rows.task_of, run.job)
    outcome: Outcome = await pipeline.help_tutor(task, run.llm, rows.CourseSources(run, course), run)
    return outcome.model_dump()


async def redraft(run: Run) -> dict[str, Any]:
    """Rewrite one draft."""
    draft = await run.db(rows.redraft_of, run.job)
    run.progress("answering")
    sources = rows.CourseSources(run, draft.course)
    title, instruction = draft.course.title, draft.instruction
    content: Reply | QuizQuestion | None
    if isinstance(draft.content, Reply):
        content = await pipeline.another_reply(title, draft.content, instruction, run.llm, sources)
    else:
        passages = await sources.lesson(int(draft.content.passage.lessonId))
        taken = [draft.content, *draft.others]
        content = await pipeline.another_question(title, taken, passages, instruction, run.llm)
    if content is None:
        raise Refusal(
            "no_question", "No other question that quotes a passage could be written. The draft is unchanged."
        )
    return {"draftId": str(run.job.payload["draftId"]), "content": content.model_dump()}


def save_outcome(job: AiJob, result: Result) -> None:
    """Add the answer to the conversation, and its drafts to the course."""
    add_answer(job, result)
    rows.add_drafts(job, result)


COPILOT = AnswerKind("tutors.copilot", copilot, save_outcome, priority=1)
REDRAFT = JobKind("tutors.redraft", redraft, rows.save_redraft, priority=1)
