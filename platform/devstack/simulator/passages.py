"""The passages in a prompt, and the units (sentences, list items, code) an answer is made of."""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from .text import stems

_PASSAGE = re.compile(r'<passage\s+(n="\d{1,6}"[^<>]*)>((?:(?!<passage\b).)*?)</passage>', re.DOTALL)
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_FENCE = re.compile(r"\s*(?:```|~~~)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,2}[.)])\s+(.*)")
_NO_PROSE = re.compile(r"\s*(?:#{1,6}\s|\||[-*_]{3,}\s*$)")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9`\"'(\[*_])")
# A list that fits into a short answer is shown whole, under the sentence that leads to it.
LONGEST_LIST = 450
LONGEST_CODE = 600


@dataclass(frozen=True)
class Unit:
    """A part of a passage that can stand in an answer; a list has `items`, and its lead-in as `text`."""

    kind: str
    text: str
    items: tuple[str, ...] = ()

    def words(self) -> frozenset[str]:
        """The stems of the unit."""
        return _stem_set("\n".join((self.text, *self.items)))


@dataclass(frozen=True)
class Passage:
    """A numbered passage as the prompt shows it, unescaped."""

    n: int
    lesson: str
    heading: str
    text: str

    def title_words(self) -> frozenset[str]:
        """The stems of the lesson's title and the heading path."""
        return _stem_set(f"{self.lesson}\n{self.heading}")

    def words(self) -> frozenset[str]:
        """The stems of the text and its titles."""
        return _stem_set(self.text) | self.title_words()

    def units(self) -> tuple[Unit, ...]:
        """The text in order, cut into units."""
        return split_units(self.text)


def find_passages(texts: Iterable[str]) -> list[Passage]:
    """All passages in these texts, in order of their numbers, the first of each number."""
    found: dict[int, Passage] = {}
    for source in texts:
        for attributes, body in _PASSAGE.findall(source):
            values = {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(attributes)}
            n, text = int(values["n"]), html.unescape(body).strip()
            found.setdefault(n, Passage(n, values.get("lesson", ""), values.get("heading", ""), text))
    return [found[n] for n in sorted(found)]


def without_passages(text: str) -> str:
    """The text with its passages cut out."""
    return _PASSAGE.sub("", text)


@lru_cache(maxsize=2048)
def split_units(text: str) -> tuple[Unit, ...]:
    """Cut Markdown into units; headings, rules and tables are left out. Prompts repeat passages: cached."""
    units: list[Unit] = []
    for kind, block in _blocks(text.splitlines()):
        if kind == "code":
            _add_code(units, block)
        elif kind == "list":
            _add_list(units, block)
        else:
            units.extend(Unit("sentence", part) for part in _SENTENCE_END.split(" ".join(block)) if part)
    return tuple(units)


def _blocks(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Group lines into ("text" | "list" | "code", lines); a list's lines are its items."""
    blocks: list[tuple[str, list[str]]] = []
    kind = ""
    for line in lines:
        if kind == "code":
            blocks[-1][1].append(line)
            kind = "" if _FENCE.match(line) else "code"
        elif _FENCE.match(line):
            kind = "code"
            blocks.append(("code", [line]))
        elif not line.strip() or _NO_PROSE.match(line):
            kind = "list" if kind == "list" and not line.strip() else ""
        elif item := _ITEM.match(line):
            if kind != "list":
                blocks.append(("list", []))
            kind = "list"
            blocks[-1][1].append(item[1].strip())
        elif kind == "list" and line[:1].isspace():
            blocks[-1][1][-1] += " " + line.strip()
        else:
            if kind != "text":
                blocks.append(("text", []))
            kind = "text"
            blocks[-1][1].append(line.strip().removeprefix("> "))
    return blocks


def _add_code(units: list[Unit], lines: list[str]) -> None:
    code = "\n".join(lines)
    if len(lines) == 1 or not _FENCE.match(lines[-1]):
        code += "\n```"  # the passage ended inside the fence
    if len(code) <= LONGEST_CODE:
        units.append(Unit("code", f"{_lead_in(units)}\n\n{code}".strip()))


def _add_list(units: list[Unit], items: list[str]) -> None:
    lead = _lead_in(units)
    if lead and len(lead) + sum(map(len, items)) <= LONGEST_LIST:
        units.append(Unit("list", lead, tuple(items)))
    else:
        units.extend(Unit("item", item) for item in items)


def _lead_in(units: list[Unit]) -> str:
    """Take away the sentence before a list or a fence if it only leads to it ("...:")."""
    return units.pop().text if units and units[-1].kind == "sentence" and units[-1].text.endswith(":") else ""


@lru_cache(maxsize=8192)
def _stem_set(text: str) -> frozenset[str]:
    return frozenset(stems(text))
