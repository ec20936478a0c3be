"""A model that was talked into repeating its instructions is stopped after the first few words of them.

A last line of defence: translated or reworded instructions pass, so nothing in them may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator

LEAKED = 10  # so many words in a row as in the instructions are a leak
SUSPICIOUS = 4  # so many are shown only when the next ones differ; fewer are ordinary, and holding them costs time
_WORD = re.compile(r"\w+")
_PART = re.compile(r"\w+|\W+")


async def stopped(instructions: str, pieces: AsyncGenerator[str, None], instead: str) -> AsyncIterator[str]:
    """The pieces, up to the third word that repeats the instructions; then `instead`, and the stream is closed."""
    known, repeating, held, count = f" {' '.join(_WORD.findall(instructions.lower()))} ", "", "", 0
    async for piece in pieces:
        shown = ""
        for part in _PART.findall(piece):
            repeating, held = repeating + part, held + part
            if _WORD.match(part):
                start, count = _repeated(known, repeating)
                repeating = repeating[start:]
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


def _repeated(known: str, text: str) -> tuple[int, int]:
    """Where the longest end of the text begins that the instructions also have, and how many words it is."""
    words = list(_WORD.finditer(text.lower()))
    for at, first in enumerate(words):
        # No space behind it: the last word may go on in the next piece.
        if f" {' '.join(word[0] for word in words[at:])}" in known:
            return first.start(), len(words) - at
    return len(text), 0
