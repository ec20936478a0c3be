"""A model that was talked into repeating its instructions is stopped after the first few words of them.

A last line of defence: translated or reworded instructions pass, so nothing in them may be a secret.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncGenerator, AsyncIterator

LEAKED = 10  # so many words in a row as in the instructions are a leak
SUSPICIOUS = 4  # so many are shown only when the next ones differ; fewer are ordinary, and holding them costs time
_WORD = re.compile(r"\w+")
_PART = re.compile(r"\w+|\W+")


async def stopped(instructions: str, pieces: AsyncGenerator[str, None], instead: str) -> AsyncIterator[str]:
    """The pieces, up to the third word that repeats the instructions; then `instead`, and the stream is closed."""
    repeated, held = _Repeated(instructions), ""
    async for piece in pieces:
        shown = ""
        for part in _PART.findall(piece):
            held += part
            count = repeated.after(part)
            if count >= LEAKED:
                yield f"{shown}\n\n{instead}"
                await pieces.aclose()
                return
            if count < SUSPICIOUS:
                shown, held = shown + held, ""
        if shown:
            yield shown
    if held:
        yield held


@functools.lru_cache(maxsize=64)
def _words_of(instructions: str) -> str:
    return f" {' '.join(_WORD.findall(instructions.lower()))} "


class _Repeated:
    """The longest end of a text that the instructions also have, word by word."""

    def __init__(self, instructions: str) -> None:
        self._known = _words_of(instructions)
        self._words: list[str] = []
        self._is_in_word = False

    def after(self, part: str) -> int:
        """How many words it is once the text has gone on: by a word, the rest of one, or what stands between two."""
        words, was_in_word, self._is_in_word = self._words, self._is_in_word, part[0] == "_" or part[0].isalnum()
        if self._is_in_word:
            if was_in_word and words:
                words[-1] += part.lower()
            else:
                words.append(part.lower())
            # No space behind it: the last word may go on in the next piece.
            while words and f" {' '.join(words)}" not in self._known:
                del words[0]
        return len(words)
