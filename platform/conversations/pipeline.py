"""The steps before an answer that all conversations share. Plain asyncio, no database: inputs are passed in."""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol

from pydantic import BaseModel

from conversations import prompts
from conversations.prompts import Turn
from courses.citations import Citation
from llm.client import Llm
from llm.errors import ErrorKind, LlmError
from llm.tokens import cut, estimate

HISTORY_TOKENS = 2000
SUMMARY_TOKENS = 300
SUMMARISED_TOKENS, SHORTEST_TOKENS = 6000, 400  # of messages in one prompt: at first, and when prompts are rejected
LONGEST_SUMMARY_TOKENS = 1000  # servers may ignore how long it was to be


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


async def summarise(summary: str, turns: list[Turn], llm: Llm) -> tuple[str, int]:
    """Return a summary that extends the earlier one by the oldest of these messages, and how many it covers.

    It covers as many as fit into SUMMARISED_TOKENS. While the upstream rejects the prompt, half as much is tried, down
    to SHORTEST_TOKENS: how much the fast model takes is not known here. Raises LlmError.
    """
    tokens = SUMMARISED_TOKENS
    while True:
        part = oldest_within(turns, tokens)
        try:
            text = await llm.text("summary", prompts.summarise(summary, part), max_tokens=SUMMARY_TOKENS)
        except LlmError as error:
            if error.kind is not ErrorKind.BAD_REQUEST or tokens <= SHORTEST_TOKENS:
                raise
            tokens //= 2
            continue
        if not text.strip():
            raise LlmError(ErrorKind.INVALID, "the summary is empty")
        return cut(text, LONGEST_SUMMARY_TOKENS), len(part)


def oldest_within(turns: list[Turn], tokens: int) -> list[Turn]:
    """Return the oldest messages that fit into this many tokens: at least one, which is cut if it is too long."""
    kept: list[Turn] = []
    for turn in turns:
        text = turn.text if kept else cut(turn.text, tokens)
        tokens -= estimate(text)
        if tokens < 0:
            break
        kept.append(Turn(role=turn.role, text=text))
    return kept


def within_budget(turns: list[Turn], tokens: int = HISTORY_TOKENS) -> list[Turn]:
    """Return the newest messages that fit into this many tokens, oldest first."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        tokens -= estimate(turn.text)
        if tokens < 0:
            break
        kept.insert(0, turn)
    return kept
