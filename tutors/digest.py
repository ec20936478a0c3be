"""Insights: what learners of a course asked recently, without names. Does not use the database."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel

Trouble = Literal["unanswered", "not_covered", "disliked"]


class Theme(BaseModel):
    """A section of a lesson that answers to learners cited. `learners` is None if there are too few to tell."""

    lesson_id: int
    title: str
    heading: str
    questions: int
    troubled: int
    learners: int | None


class OpenQuestion(BaseModel):
    """A question that was not answered well, without names."""

    question_id: int
    text: str
    trouble: Trouble
    asked_on: date


class Insights(BaseModel):
    """The questions of the last `days` in a course: counts, themes, open questions.

    `withheld` counts open questions that are not shown because their text could identify the learner.
    """

    days: int
    questions: int = 0
    learners: int | None = None
    troubles: dict[Trouble, int] = {}
    themes: list[Theme] = []
    open: list[OpenQuestion] = []
    withheld: int = 0
