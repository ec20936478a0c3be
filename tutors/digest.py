"""What learners of a course have asked lately, as far as it says nothing about who asked. Knows no database."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel

Trouble = Literal["unanswered", "not_covered", "disliked"]


class Theme(BaseModel):
    """A section of a lesson that answers to learners have cited. Few `learners` are None: too few to be told."""

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
    """The last `days` of a course: how much, about what, and what is still open.

    `withheld` is how many open questions are not shown, because their text could tell who asked.
    """

    days: int
    questions: int = 0
    learners: int | None = None
    troubles: dict[Trouble, int] = {}
    themes: list[Theme] = []
    open: list[OpenQuestion] = []
    withheld: int = 0
