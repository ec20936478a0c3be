"""From a lesson to flashcards. Plain asyncio, no database and no Django: inputs are passed in."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from courses.grounding import PromptPassage
from flashcards import prompts
from llm.client import Llm


class Card(BaseModel):
    """A question and its answer."""

    model_config = ConfigDict(extra="forbid")

    front: str
    back: str


class Flashcards(BaseModel):
    """The model's response."""

    model_config = ConfigDict(extra="forbid")

    cards: list[Card]


async def write(lesson: str, passages: Sequence[PromptPassage], count: int, llm: Llm) -> Flashcards:
    """Write up to `count` cards on these passages of a lesson. Raises LlmError."""
    written = await llm.parse("flashcards", prompts.write(lesson, passages, count), Flashcards, max_tokens=2000)
    return Flashcards(cards=written.cards[:count])
