"""The content of drafts, and the check that a quiz question is well-formed and quotes an existing passage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from courses.citations import Citation
from courses.grounding import PromptPassage

MIN_OPTIONS, MAX_OPTIONS = 2, 6
MIN_QUOTE_CHARS = 12  # a shorter quote proves nothing

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]


class QuotedPassage(BaseModel):
    """The passage that a quiz question is based on, with a quote. Field names are those of the API."""

    lessonId: str
    title: str
    heading: str
    quote: str


class Edit(BaseModel):
    """The fields that a tutor may change."""

    model_config = ConfigDict(extra="forbid")


class ReplyEdit(Edit):
    text: Text


class QuizEdit(Edit):
    question: Line
    options: Annotated[list[Line], Field(min_length=MIN_OPTIONS, max_length=MAX_OPTIONS)]
    right: Annotated[int, Field(ge=0, description="Index of the right option, from 0.")]
    explanation: Line

    @model_validator(mode="after")
    def _has_one_right_option(self) -> QuizEdit:
        if len({_plain(option) for option in self.options}) < len(self.options):
            raise ValueError("two options are the same")
        if self.right >= len(self.options):
            raise ValueError("the right option is not among the options")
        return self


class Reply(BaseModel):
    """A reply to a learner. `asked` is the learner's question without names."""

    kind: Literal["reply"] = "reply"
    asked: str
    text: str
    citations: list[Citation]


class QuizQuestion(QuizEdit):
    """A quiz question with the passage that it is based on."""

    kind: Literal["quiz_question"] = "quiz_question"
    passage: QuotedPassage


Content = Annotated[Reply | QuizQuestion, Field(discriminator="kind")]


class Proposal(BaseModel):
    """A quiz question in the model's response: `passage` is its number in the prompt, `quote` is from that passage."""

    model_config = ConfigDict(extra="forbid")

    question: str
    options: list[str]
    right: int
    explanation: str
    passage: int
    quote: str


class Quiz(BaseModel):
    """The model's response to the quiz prompt."""

    model_config = ConfigDict(extra="forbid")

    questions: list[Proposal]


def verified(proposal: Proposal, passages: Sequence[PromptPassage]) -> QuizQuestion | None:
    """Return the question with the passage that it quotes; None if it is malformed or misquotes the passage."""
    if not 1 <= proposal.passage <= len(passages):
        return None
    passage, quote = passages[proposal.passage - 1], " ".join(proposal.quote.split())
    if len(quote) < MIN_QUOTE_CHARS or _plain(quote) not in _plain(passage.text):
        return None
    quoted = QuotedPassage(
        lessonId=str(passage.lesson_id), title=passage.lesson_title, heading=passage.heading, quote=quote
    )
    try:
        return QuizQuestion(
            question=proposal.question,
            options=proposal.options,
            right=proposal.right,
            explanation=proposal.explanation,
            passage=quoted,
        )
    except ValueError:
        return None


def _plain(text: str) -> str:
    """Remove Markdown and typographic characters, for comparison."""
    return " ".join(re.sub(r"[*_`>|#\\\"'“”\u2018\u2019]", "", text).casefold().split())
