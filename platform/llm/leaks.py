"""Cuts off an answer that repeats the model's instructions word by word.

A last line of defence: translated or rephrased instructions pass, so they must not contain a secret.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncGenerator, AsyncIterator

LEAKED = 10  # this many consecutive words of the instructions are a leak
SUSPICIOUS = 4  # from this many on, words are held back until the next one differs; fewer are shown at once
_WORD = re.compile(r"\w+")
_PART = re.compile(r"\w+|\W+")


async def stopped(instructions: str, pieces: AsyncGenerator[str, None], instead: str) -> AsyncIterator[str]:
    """Yield the pieces. At a leak, yield `instead` and close the stream; the held back words are not shown."""
    repeated = _Repeated(instructions)
    held: list[str] = []
    async for piece in pieces:
        shown: list[str] = []
        for part in _PART.findall(piece):
            held.append(part)
            count = repeated.after(part)
            if count >= LEAKED:
                yield f"{''.join(shown)}\n\n{instead}"
                await pieces.aclose()
                return
            if count < SUSPICIOUS:
                shown += held
                held.clear()
        if shown:
            yield "".join(shown)
    if held:
        yield "".join(held)


@functools.lru_cache(maxsize=64)
def _words_of(instructions: str) -> str:
    return f" {' '.join(_WORD.findall(instructions.lower()))} "


class _Repeated:
    """Tracks the longest suffix of a text, in words, that also occurs in the instructions."""

    def __init__(self, instructions: str) -> None:
        self._known = _words_of(instructions)
        self._words: list[str] = []
        self._is_in_word = False

    def after(self, part: str) -> int:
        """Append a part (a word, the rest of one, or the characters between two) and return the suffix's length."""
        words, was_in_word, self._is_in_word = self._words, self._is_in_word, part[0] == "_" or part[0].isalnum()
        if self._is_in_word:
            if was_in_word and words:
                words[-1] += part.lower()
            else:
                words.append(part.lower())
            # No space at the end: the last word may continue in the next piece.
            while words and f" {' '.join(words)}" not in self._known:
                del words[0]
        return len(words)
