"""A model that was talked into repeating its instructions is stopped before they are shown.

A last line of defence: translated or reworded instructions pass, so nothing in them may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator

LEAKED = 10  # so many words in a row as in the instructions are never shown
_WORD = re.compile(r"\w+")
_PART = re.compile(r"\w+|\W+")


async def stopped(instructions: str, pieces: AsyncGenerator[str, None], instead: str) -> AsyncIterator[str]:
    """The pieces, up to where they repeat the instructions; then `instead`, and the stream is closed.

    Words that the instructions begin to share are held back until they go on differently, mostly for one piece.
    """
    known, held = f" {' '.join(_words(instructions))} ", ""
    async for piece in pieces:
        shown = ""
        for part in _PART.findall(piece):
            held += part
            start, count = _repeated(known, held)
            shown, held = shown + held[:start], held[start:]
            if count >= LEAKED:
                yield shown + instead
                await pieces.aclose()
                return
        if shown:
            yield shown
    if held:
        yield held


def _repeated(known: str, text: str) -> tuple[int, int]:
    """Where the longest end of the text begins that the instructions also have, and how many words it is."""
    words = list(_WORD.finditer(text.lower()))
    for at, first in enumerate(words):
        # No space behind it: the last word may go on in the next piece.
        if f" {' '.join(word[0] for word in words[at:])}" in known:
            return first.start(), len(words) - at
    return len(text), 0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
