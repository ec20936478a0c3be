"""From a learner's answers to a persona. Plain asyncio, no database and no Django: inputs are passed in."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from llm.client import Llm
from personas import prompts
from personas.prompts import GivenAnswer, PersonaOption

UNKNOWN = "unknown"
MIN_CONFIDENCE = 0.6  # below it the persona is unknown
MAX_REASONS = 3
VERSIONED = [prompts.CLASSIFY, MIN_CONFIDENCE]  # changing any of these makes profiles stale


@dataclass(frozen=True)
class Versions:
    """Versions of the persona descriptions and of the prompt with its threshold, and the model's name."""

    personas: str
    prompt: str
    model: str


class Reason(BaseModel):
    """A reason for the persona: a quote from one of the learner's answers, and what it means."""

    question: str
    quote: str
    meaning: str


class Classification(BaseModel):
    """The persona's key, or UNKNOWN, with confidence and reasons."""

    persona: str
    confidence: float
    reasons: list[Reason]


class Evidence(BaseModel):
    """A reason in the model's response; `question` is the key of a question."""

    model_config = ConfigDict(extra="forbid")

    question: str
    quote: str
    meaning: str


class Verdict(BaseModel):
    """The model's response."""

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


@functools.lru_cache(maxsize=16)  # creating models takes milliseconds, and a batch reuses the same one
def schema_of(personas: tuple[str, ...], questions: tuple[str, ...]) -> type[Verdict]:
    """Return a Verdict type that accepts only these personas and questions."""
    persona: Any = Literal[(*personas, UNKNOWN)]
    question: Any = Literal[questions]
    evidence: Any = create_model("Evidence", __base__=Evidence, question=(question, ...))
    return create_model("Verdict", __base__=Verdict, persona=(persona, ...), reasons=(list[evidence], ...))


def judge(verdict: Verdict, answers: Sequence[GivenAnswer]) -> Classification:
    """Check the verdict: it needs MIN_CONFIDENCE, and at least one quote that really appears in the answer."""
    answered = {answer.key: answer for answer in answers}
    reasons = [
        Reason(question=answered[e.question].question, quote=e.quote.strip(), meaning=e.meaning.strip())
        for e in verdict.reasons
        if (quote := _plain(e.quote)) and quote in _plain(answered[e.question].text)
    ]
    is_believed = verdict.confidence >= MIN_CONFIDENCE and bool(reasons)
    persona = verdict.persona if is_believed else UNKNOWN
    return Classification(persona=persona, confidence=verdict.confidence, reasons=reasons[:MAX_REASONS])


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'“”…")
