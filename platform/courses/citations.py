"""Citations that are checked: every [n] of an answer points at a passage that was really in the prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel

from courses.grounding import PromptPassage

_CODE = r"(?P<fence>`{3,}|~{3,}).*?(?:(?P=fence)|\Z)|(?<!`)(?P<ticks>`{1,2})(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`)"
_CITATIONS = r"(?P<space>\s?)(?P<numbers>(?:\[\d{1,3}(?:\s*,\s*\d{1,3})*\](?!\())+)"
_TOKEN = re.compile(f"(?P<code>{_CODE})|{_CITATIONS}", re.DOTALL)  # array[1] in code is no citation


class Citation(BaseModel):
    """Where a statement of the answer comes from. Keys are as on the wire."""

    n: int
    lessonId: str
    title: str
    heading: str


def check(text: str, passages: Sequence[PromptPassage]) -> tuple[str, list[Citation]]:
    """The text without citations of passages that do not exist, and the passages that it cites, by number."""
    cited: set[int] = set()

    def keep_valid(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        numbers = [n for n in map(int, re.findall(r"\d+", match["numbers"])) if 1 <= n <= len(passages)]
        cited.update(numbers)
        return match["space"] + "".join(f"[{n}]" for n in numbers) if numbers else ""

    checked = _TOKEN.sub(keep_valid, text)
    return checked, [_citation(n, passages[n - 1]) for n in sorted(cited)]


def _citation(n: int, passage: PromptPassage) -> Citation:
    return Citation(n=n, lessonId=str(passage.lesson_id), title=passage.lesson_title, heading=passage.heading)
