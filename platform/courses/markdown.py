"""Splits lessons into passages: a few paragraphs each, under one path of headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt

MAX_PASSAGE_CHARS = 1600  # about 400 tokens: six passages leave room for the conversation in a prompt
MAX_BLOCK_CHARS = 8000
_parser = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Piece:
    """A passage before it is stored. `heading` is the path below the lesson's title."""

    heading: str
    text: str


def title_of(markdown: str, default: str) -> str:
    """Return the text of the first level-1 heading, or the default."""
    return next((text for level, text, _ in _headings(markdown) if level == 1), default)


def cut(markdown: str) -> list[Piece]:
    """Split a lesson into passages, in order. Code blocks, lists and tables stay whole, up to MAX_BLOCK_CHARS."""
    lines = _lines(markdown)
    headings = _headings(markdown)
    pieces = list(_cut_section("", lines[: headings[0][2][0]] if headings else lines))
    path: list[tuple[int, str]] = []
    for index, (level, text, (_, start)) in enumerate(headings):
        end = headings[index + 1][2][0] if index + 1 < len(headings) else len(lines)
        path = [step for step in path if step[0] < level] + [(level, text)]
        heading = " > ".join(step[1] for step in path if step[0] > 1)
        pieces += _cut_section(heading, lines[start:end])
    return pieces


def _lines(markdown: str) -> list[str]:
    """Split into lines as the parser counts them; str.splitlines() also splits at form feeds and other characters."""
    return re.split(r"\r\n?|\n", markdown)


def _headings(markdown: str) -> list[tuple[int, str, tuple[int, int]]]:
    """Return (level, text, (first line, line after it)) of each top-level heading outside code."""
    tokens = _parser.parse(markdown)
    found = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.map and token.level == 0:
            found.append((int(token.tag[1]), _plain(inline.children or []), (token.map[0], token.map[1])))
    return found


def _plain(children: list) -> str:
    return "".join(child.content for child in children).strip()


def _cut_section(heading: str, lines: list[str]) -> Iterator[Piece]:
    text = ""
    for block in _blocks("\n".join(lines)):
        if text and len(text) + len(block) > MAX_PASSAGE_CHARS:
            yield Piece(heading, text)
            text = ""
        text = f"{text}\n\n{block}" if text else block
    if text:
        yield Piece(heading, text)


def _blocks(markdown: str) -> Iterator[str]:
    lines = _lines(markdown)
    for token in _parser.parse(markdown):
        if token.level == 0 and token.map and token.nesting >= 0:
            block = "\n".join(lines[token.map[0] : token.map[1]]).strip()
            # An embedding call accepts about 8,000 tokens. A longer block is data, which may be split anywhere.
            yield from (block[start : start + MAX_BLOCK_CHARS] for start in range(0, len(block), MAX_BLOCK_CHARS))
