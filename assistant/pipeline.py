"""From a question to a cited answer. Plain asyncio, no database and no Django: inputs are passed in."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from pydantic import BaseModel, ConfigDict

from assistant import prompts
from assistant.prompts import Setting
from conversations.pipeline import Answer, Output, QuestionInContext, understand, within_budget
from courses.citations import check
from courses.grounding import PromptPassage
from courses.vectors import problem_of
from llm import leaks
from llm.client import Llm
from llm.errors import ErrorKind, LlmError

MAX_SUGGESTIONS = 3
MAX_SUGGESTION_CHARS = 140  # they are shown as buttons
MAX_SUGGESTION_TOKENS = 200
# They may concern a single text.
REJECTIONS = {ErrorKind.BAD_REQUEST, ErrorKind.REFUSED, ErrorKind.INVALID, ErrorKind.GARBLED}
MAX_REJECTED = 8

Search = Callable[[str, list[float]], Awaitable[list[PromptPassage]]]


class Suggestions(BaseModel):
    """The model's response with suggested questions."""

    model_config = ConfigDict(extra="forbid")

    questions: list[str]


async def answer(question: QuestionInContext, setting: Setting, llm: Llm, search: Search, output: Output) -> Answer:
    """Answer from the course's passages, and stream the text to the output. Raises LlmError."""
    turns = within_budget(question.turns)
    standalone, vector = await understand(question, turns, llm, output)
    output.progress("searching")
    passages = await search(standalone, vector)
    output.progress("answering")
    messages = prompts.answer(setting, passages, question.summary, turns, question.text)
    pieces = []
    async for piece in leaks.stopped(prompts.rules(setting), llm.stream("answer", messages), prompts.INSTEAD_OF_RULES):
        pieces.append(piece)
        output.show(piece)
    text, citations = check("".join(pieces), passages)
    return Answer(answer=text, citations=citations)


async def suggest(course: str, topics: Sequence[str], question: str, answer: str, llm: Llm) -> list[str]:
    """Suggest follow-up questions about these topics of the course. Raises LlmError."""
    messages = prompts.suggest(course, topics, question, answer)
    suggested = await llm.parse("suggestions", messages, Suggestions, max_tokens=MAX_SUGGESTION_TOKENS)
    lines = (" ".join(line.split()) for line in suggested.questions)
    fitting = (line for line in lines if 0 < len(line) <= MAX_SUGGESTION_CHARS and line != question)
    return list(dict.fromkeys(fitting))[:MAX_SUGGESTIONS]


def in_the_meantime(passages: Sequence[PromptPassage]) -> str:
    """Return the text to show while the upstream is down: links to passages that a full-text search found."""
    text = "**The AI service is not answering right now.** Your question is kept and will be answered here."
    if not passages:
        return text
    links = [f"- [{_plain(p.lesson_title)}: {_plain(p.heading)}](/lessons/{p.lesson_id}/)" for p in passages]
    return "\n".join([f"{text} Until then, these parts of the course may help:\n", *dict.fromkeys(links)])


def _plain(text: str) -> str:
    return re.sub(r"[\[\]()<>`*_]", "", text)


async def embed(texts: Sequence[str], llm: Llm) -> list[list[float] | str]:
    """Return for each text its embedding, or why the model rejected it.

    A rejected batch is halved until the texts that are rejected stand alone. Raises LlmError for other failures, and
    after MAX_REJECTED rejections of single texts without any success.
    """
    outcomes: list[list[float] | str] = []
    await _embed(list(texts), llm, outcomes)
    return outcomes


async def _embed(texts: list[str], llm: Llm, outcomes: list[list[float] | str]) -> None:
    try:
        vectors = await llm.embed("ingestion", texts)
    except LlmError as error:
        if error.kind not in REJECTIONS or (
            len(outcomes) >= MAX_REJECTED and all(isinstance(o, str) for o in outcomes)
        ):
            raise
        if len(texts) == 1:
            outcomes.append(error.detail)
            return
        middle = len(texts) // 2
        await _embed(texts[:middle], llm, outcomes)
        await _embed(texts[middle:], llm, outcomes)
    else:
        outcomes += [problem_of(vector, llm.config.embedding_dimensions) or vector for vector in vectors]
