"""From a learner's answers to a persona. Plain asyncio: no database, no Django; what it needs is passed in."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from llm.client import Llm
from personas import prompts
from personas.prompts import GivenAnswer, PersonaOption

UNKNOWN = "unknown"
MIN_CONFIDENCE = 0.6  # a persona that the model is less sure of is no persona
MAX_REASONS = 3
VERSIONED = [prompts.CLASSIFY, MIN_CONFIDENCE]  # what here decides a classification


class Reason(BaseModel):
    """Why, in the learner's own words: a quote from one of the answers, and what it says."""

    question: str
    quote: str
    meaning: str


class Classification(BaseModel):
    """The persona's key, or UNKNOWN, and how the model came to it."""

    persona: str
    confidence: float
    reasons: list[Reason]


class Evidence(BaseModel):
    """A reason as the model gives it: `question` is a key."""

    model_config = ConfigDict(extra="forbid")

    question: str
    quote: str
    meaning: str


class Verdict(BaseModel):
    """What the model answers."""

    model_config = ConfigDict(extra="forbid")

    persona: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    reasons: list[Evidence]


async def classify(personas: Sequence[PersonaOption], answers: Sequence[GivenAnswer], llm: Llm) -> Classification:
    """Choose the persona that fits the answers, or none. Raises LlmError."""
    if not personas:
        return Classification(persona=UNKNOWN, confidence=0, reasons=[])
    schema = schema_of(tuple(option.key for option in personas), tuple(answer.key for answer in answers))
    return judge(await llm.parse("classify", prompts.classify(personas, answers), schema), answers)


@functools.lru_cache(maxsize=16)  # making models takes milliseconds, and a batch wants the same one again and again
def schema_of(personas: tuple[str, ...], questions: tuple[str, ...]) -> type[Verdict]:
    """The verdict's schema with the keys that there are: no other persona or question fits."""
    persona: Any = Literal[(*personas, UNKNOWN)]
    question: Any = Literal[questions]
    evidence: Any = create_model("Evidence", __base__=Evidence, question=(question, ...))
    return create_model("Verdict", __base__=Verdict, persona=(persona, ...), reasons=(list[evidence], ...))


def judge(verdict: Verdict, answers: Sequence[GivenAnswer]) -> Classification:
    """The verdict as far as it can be believed: sure enough, and with quotes that the learner has really written."""
    answered = {answer.key: answer for answer in answers}
    reasons = [
        Reason(question=answered[e.question].question, quote=e.quote.strip(), meaning=e.meaning.strip())
        for e in verdict.reasons
        if _is_quoted(e.quote, answered[e.question].text)
    ]
    is_believed = verdict.confidence >= MIN_CONFIDENCE and bool(reasons)
    persona = verdict.persona if is_believed else UNKNOWN
    return Classification(persona=persona, confidence=verdict.confidence, reasons=reasons[:MAX_REASONS])


def _is_quoted(quote: str, text: str) -> bool:
    words = _plain(quote)
    return bool(words) and words in _plain(text)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'“”…")
