"""The question set: the question, its demo course, and the section that answers it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("questions.toml")
UNANSWERABLE = "unanswerable"


@dataclass(frozen=True)
class Question:
    """`lesson` is the lesson's slug and `heading` the section; both are empty if the course has no answer."""

    course: str
    text: str
    kind: str
    lesson: str = ""
    heading: str = ""

    @property
    def is_answerable(self) -> bool:
        return self.kind != UNANSWERABLE

    def is_answered_by(self, lesson: str, heading: str) -> bool:
        """Whether a passage of this lesson, with this path of headings, belongs to the section that answers."""
        return self.lesson == lesson and self.heading in heading.split(" > ")


def load() -> list[Question]:
    """All questions, in the order of the file."""
    return [Question(**entry) for entry in tomllib.loads(FILE.read_text(encoding="utf-8"))["question"]]
