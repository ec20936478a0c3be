"""The flashcards prompt. The lesson's text is data: escaped, inside tags, and declared as data."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from courses.grounding import ONLY_DATA, PromptPassage, as_data
from llm.client import Messages

WRITE = """\
You write flashcards for a learner who has read the lesson "{lesson}". Write {count} cards. `front` is one question that
the passages answer, `back` its answer in at most two sentences, from the passages alone.
{only_data}
"""


def write(lesson: str, passages: Sequence[PromptPassage], count: int) -> Messages:
    """Build the prompt for this many cards."""
    rules = WRITE.format(lesson=escape(lesson), count=count, only_data=ONLY_DATA)
    return [{"role": "system", "content": rules}, {"role": "user", "content": as_data(passages)}]
