"""From a question to a cited answer. Plain asyncio: no database, no Django; what it needs is passed in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from pydantic import BaseModel

from assistant import prompts
from conversations.pipeline import Question, Viewer, understand, within_budget
from courses.citations import Citation, check
from courses.grounding import Passage
from llm import leaks
from llm.client import Llm

Search = Callable[[str, list[float]], Awaitable[list[Passage]]]


class Answer(BaseModel):
    """A finished answer in Markdown, and the passages that it really cites."""

    answer: str
    citations: list[Citation]


async def answer(question: Question, course: str, llm: Llm, search: Search, viewer: Viewer) -> Answer:
    """Answer from the material of the course with this title, streaming to the viewer. Raises LlmError."""
    turns = within_budget(question.turns)
    standalone, vector = await understand(question, turns, llm, viewer)
    viewer.progress("searching")
    passages = await search(standalone, vector)
    viewer.progress("answering")
    messages = prompts.answer(course, passages, question.summary, turns, question.text)
    pieces = []
    async for piece in leaks.stopped(prompts.rules(course), llm.stream("answer", messages), prompts.INSTEAD_OF_RULES):
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


def _plain(text: str) -> str:
    return re.sub(r"[\[\]()<>`*_]", "", text)
