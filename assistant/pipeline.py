"""From a question to a cited answer. Plain asyncio: no database, no Django; what it needs is passed in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from pydantic import BaseModel

from assistant import prompts
from assistant.citations import Citation, check
from assistant.prompts import Passage, Turn
from llm import leaks
from llm.client import Llm
from llm.tokens import estimate

HISTORY_TOKENS = 2000
SUMMARY_TOKENS = 300

Search = Callable[[str, list[float]], Awaitable[list[Passage]]]


class Question(BaseModel):
    """A learner's question with what was said before it, oldest first."""

    text: str
    course: str
    summary: str = ""
    turns: list[Turn] = []

    @property
    def has_history(self) -> bool:
        return bool(self.turns or self.summary)


class Answer(BaseModel):
    """A finished answer in Markdown, and the passages that it really cites."""

    answer: str
    citations: list[Citation]


class Viewer(Protocol):
    """Who watches the answer come into being."""

    def progress(self, step: Literal["rewriting", "searching", "answering"]) -> None: ...

    def show(self, text: str) -> None: ...


async def answer(question: Question, llm: Llm, search: Search, viewer: Viewer) -> Answer:
    """Answer from the course material, streaming the text to the viewer. Raises LlmError."""
    turns = within_budget(question.turns)
    standalone, vector = await _understand(question, turns, llm, viewer)
    viewer.progress("searching")
    passages = await search(standalone, vector)
    viewer.progress("answering")
    messages = prompts.answer(question.course, passages, question.summary, turns, question.text)
    pieces = []
    async for piece in leaks.stopped(prompts.ANSWER, llm.stream("answer", messages), prompts.INSTEAD_OF_RULES):
        pieces.append(piece)
        viewer.show(piece)
    text, citations = check("".join(pieces), passages)
    return Answer(answer=text, citations=citations)


def in_the_meantime(passages: Sequence[Passage]) -> str:
    """What to show while the upstream is away: where in the course the answer may stand, found by its words alone."""
    text = "**The AI service is not answering right now.** Your question is kept and will be answered here."
    if not passages:
        return text
    places = [f"- [{_plain(p.lesson_title)}: {_plain(p.heading)}](/lessons/{p.lesson_id}/)" for p in passages]
    return "\n".join([f"{text} Until then, these parts of the course may help:\n", *dict.fromkeys(places)])


async def summarise(course: str, summary: str, turns: list[Turn], llm: Llm) -> str:
    """A summary of these messages that continues the earlier one. Raises LlmError."""
    return await llm.text("summary", prompts.summarise(course, summary, turns), max_tokens=SUMMARY_TOKENS)


def within_budget(turns: list[Turn], tokens: int = HISTORY_TOKENS) -> list[Turn]:
    """The newest messages that fit into this many tokens, oldest first."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        tokens -= estimate(turn.text)
        if tokens < 0:
            break
        kept.insert(0, turn)
    return kept


def _plain(text: str) -> str:
    return re.sub(r"[\[\]()<>`*_]", "", text)


async def _understand(question: Question, turns: list[Turn], llm: Llm, viewer: Viewer) -> tuple[str, list[float]]:
    """The question as it stands alone, and the embedding of the question as it was asked, at the same time."""
    embedding = llm.embed("embedding", [question.text])
    if not question.has_history:
        [vector] = await embedding
        return question.text, vector
    viewer.progress("rewriting")
    messages = prompts.rewrite(question.summary, turns, question.text)
    try:
        async with asyncio.TaskGroup() as group:
            rewriting = group.create_task(llm.text("rewrite", messages, max_tokens=200))
            embedding_task = group.create_task(embedding)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # as without history: callers know the kind of failure by its type
    return rewriting.result() or question.text, embedding_task.result()[0]
