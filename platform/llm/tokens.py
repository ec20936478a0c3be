"""Estimates of tokens: before a call, and after it where the upstream reported no usage."""

from __future__ import annotations

CHARS_PER_TOKEN = 4  # OpenAI's rule of thumb for English


def estimate(text: str) -> int:
    """Estimate the tokens of a text; at least one unless the text is empty.

    Four ASCII characters count as a token, and so does every other character: that is about right for Chinese or
    Japanese, and on the safe side for accented letters. Budgets and the rate governor use the same estimate.
    """
    ascii_chars = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return -(-ascii_chars // CHARS_PER_TOKEN) + len(text) - ascii_chars


def cut(text: str, tokens: int) -> str:
    """Return the text, shortened to about this many tokens if it is longer; "…" marks where it was cut."""
    if estimate(text) <= tokens:
        return text
    fits, too_long = 0, min(len(text), tokens * CHARS_PER_TOKEN + 1)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if estimate(text[:middle]) < tokens else (fits, middle)
    return f"{text[:fits].rstrip()}…"
