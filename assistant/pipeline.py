"""From a question to a cited answer. Plain asyncio: no database, no Django; what it needs is passed in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from pydantic import BaseModel, ConfigDict

from assistant import prompts
from assistant.prompts import Setting
from conversations.pipeline import Question, Viewer, understand, within_budget
from courses.citations import Citation, check
from courses.grounding import Passage
from llm import leaks
from llm.client import Llm

MOST_SUGGESTIONS = 3
LONGEST_SUGGESTION = 140  # they are buttons
SUGGESTION_TOKENS = 200

Search = Callable[[str, list[float]], Awaitable[list[Passage]]]


class Suggestions(BaseModel):
    """What the model returns for questions that may follow."""

    model_config = ConfigDict(extra="forbid")

    questions: list[str]


class Answer(BaseModel):
    """A finished answer in Markdown, and the passages that it really cites."""

    answer: str
    citations: list[Citation]


async def answer(question: Question, setting: Setting, llm: Llm, search: Search, viewer: Viewer) -> Answer:
    """Answer from the course's material, streaming the text to the viewer. Raises LlmError."""
    turns = within_budget(question.turns)
    standalone, vector = await understand(question, turns, llm, viewer)
    viewer.progress("searching")
    passages = await search(standalone, vector)
    viewer.progress("answering")
    messages = prompts.answer(setting, passages, question.summary, turns, question.text)
    pieces = []
    async for piece in leaks.stopped(prompts.rules(setting), llm.stream("answer", messages), prompts.INSTEAD_OF_RULES):
        pieces.append(piece)
        viewer.show(piece)
    text, citations = check("".join(pieces), passages)
    return Answer(answer=text, citations=citations)


async def suggest(course: str, topics: Sequence[str], question: str, answer: str, llm: Llm) -> list[str]:
    """Questions that may follow this answer, all about these topics of the course. Raises LlmError."""
    messages = prompts.suggest(course, topics, question, answer)
    suggested = await llm.parse("suggestions", messages, Suggestions, max_tokens=SUGGESTION_TOKENS)
    lines = (" ".join(line.split()) for line in suggested.questions)
    fitting = (line for line in lines if 0 < len(line) <= LONGEST_SUGGESTION and line != question)
    return list(dict.fromkeys(fitting))[:MOST_SUGGESTIONS]


def in_the_meantime(passages: Sequence[Passage]) -> str:
    """What to show while the upstream is away: where in the course the answer may stand, found by its words alone."""
    text = "**The AI service is not answering right now.** Your question is kept and will be answered here."
    if not passages:
        return text
    places = [f"- [{_plain(p.lesson_title)}: {_plain(p.heading)}](/lessons/{p.lesson_id}/)" for p in passages]
    return "\n".join([f"{text} Until then, these parts of the course may help:\n", *dict.fromkeys(places)])


def _plain(text: str) -> str:
    return re.sub(r"[\[\]()<>`*_]", "", text)
