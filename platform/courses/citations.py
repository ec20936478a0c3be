"""Checks citations: every [n] in an answer must refer to a passage of the prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel

from courses.grounding import PromptPassage

_FENCE = r"(?P<fence>`{3,}+|~{3,}+)"
_CODE = r"(?P<code>(?<!`)(?P<ticks>`{1,2})(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`))"
_CITATIONS = r"(?P<space>\s?)(?P<numbers>(?:\[\d{1,3}(?:\s*+,\s*+\d{1,3})*+\](?!\())++)"
_TOKEN = re.compile(f"{_FENCE}|{_CODE}|{_CITATIONS}")  # array[1] in code is not a citation


class Citation(BaseModel):
    """The passage that a statement of an answer cites. Field names are those of the API."""

    n: int
    lessonId: str
    title: str
    heading: str


def check(text: str, passages: Sequence[PromptPassage]) -> tuple[str, list[Citation]]:
    """Remove citations of passages that do not exist; return the text and the remaining citations by number."""
    cited: set[int] = set()
    checked: list[str] = []
    done = 0
    while token := _TOKEN.search(text, done):
        checked.append(text[done : token.start()])
        done = token.end()
        if fence := token["fence"]:  # a block of code ends with the same fence, or with the text
            end = text.find(fence, done)
            done = end + len(fence) if end >= 0 else len(text)
        if numbers := token["numbers"]:
            valid = [n for n in map(int, re.findall(r"\d+", numbers)) if 1 <= n <= len(passages)]
            cited.update(valid)
            checked.append(token["space"] + "".join(f"[{n}]" for n in valid) if valid else "")
        else:
            checked.append(text[token.start() : done])
    by_number = [(n, passages[n - 1]) for n in sorted(cited)]
    return "".join([*checked, text[done:]]), [
        Citation(n=n, lessonId=str(passage.lesson_id), title=passage.lesson_title, heading=passage.heading)
        for n, passage in by_number
    ]
