"""Checks citations: every [n] in an answer must refer to a passage of the prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel

from courses.grounding import PromptPassage

_CODE = r"(?P<fence>`{3,}|~{3,}).*?(?:(?P=fence)|\Z)|(?<!`)(?P<ticks>`{1,2})(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`)"
_CITATIONS = r"(?P<space>\s?)(?P<numbers>(?:\[\d{1,3}(?:\s*,\s*\d{1,3})*\](?!\())+)"
_TOKEN = re.compile(f"(?P<code>{_CODE})|{_CITATIONS}", re.DOTALL)  # array[1] in code is not a citation


class Citation(BaseModel):
    """The passage that a statement of an answer cites. Field names are those of the API."""

    n: int
    lessonId: str
    title: str
    heading: str


def check(text: str, passages: Sequence[PromptPassage]) -> tuple[str, list[Citation]]:
    """Remove citations of passages that do not exist; return the text and the remaining citations by number."""
    cited: set[int] = set()

    def keep_valid(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        numbers = [n for n in map(int, re.findall(r"\d+", match["numbers"])) if 1 <= n <= len(passages)]
        cited.update(numbers)
        return match["space"] + "".join(f"[{n}]" for n in numbers) if numbers else ""

    checked = _TOKEN.sub(keep_valid, text)
    by_number = [(n, passages[n - 1]) for n in sorted(cited)]
    return checked, [
        Citation(n=n, lessonId=str(passage.lesson_id), title=passage.lesson_title, heading=passage.heading)
        for n, passage in by_number
    ]
