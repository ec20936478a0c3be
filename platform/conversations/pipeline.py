"""The steps before an answer that all conversations share. Plain asyncio, no database: inputs are passed in."""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol

from pydantic import BaseModel

from conversations import prompts
from conversations.prompts import Turn
from courses.citations import Citation
from llm.client import Llm
from llm.tokens import estimate

HISTORY_TOKENS = 2000
SUMMARY_TOKENS = 300


class QuestionInContext(BaseModel):
    """A person's question with the summary and the messages before it, oldest first."""

    text: str
    summary: str = ""
    turns: list[Turn] = []

    @property
    def has_history(self) -> bool:
        return bool(self.turns or self.summary)


class Answer(BaseModel):
    """A finished answer in Markdown, and the passages that it cites by number."""

    answer: str
    citations: list[Citation] = []


class Output(Protocol):
    """Receives the steps and the text of an answer while it is written."""

    def progress(self, step: Literal["rewriting", "searching", "answering"]) -> None: ...

    def show(self, text: str) -> None: ...


async def understand(
    question: QuestionInContext, turns: list[Turn], llm: Llm, output: Output
) -> tuple[str, list[float]]:
    """Return the question rewritten to stand alone, and the embedding of the original question.

    Both calls run concurrently. `turns` are the question's turns that fit the token budget. Raises LlmError.
    """
    embedding = llm.embed("embedding", [question.text])
    if not question.has_history:
        [vector] = await embedding
        return question.text, vector
    output.progress("rewriting")
    messages = prompts.rewrite(question.summary, turns, question.text)
    try:
        async with asyncio.TaskGroup() as group:
            rewriting = group.create_task(llm.text("rewrite", messages, max_tokens=200))
            embedding_task = group.create_task(embedding)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # callers expect an LlmError, not a group
    return rewriting.result() or question.text, embedding_task.result()[0]


async def summarise(summary: str, turns: list[Turn], llm: Llm) -> str:
    """Return a summary that extends the earlier one by these messages. Raises LlmError."""
    return await llm.text("summary", prompts.summarise(summary, turns), max_tokens=SUMMARY_TOKENS)


def within_budget(turns: list[Turn], tokens: int = HISTORY_TOKENS) -> list[Turn]:
    """Return the newest messages that fit into this many tokens, oldest first."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        tokens -= estimate(turn.text)
        if tokens < 0:
            break
        kept.insert(0, turn)
    return kept
