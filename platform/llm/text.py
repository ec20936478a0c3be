"""Cleans text that comes from the upstream, so that it can be stored, encoded and shown.

Postgres refuses the character NUL and lone surrogates (half of a character beyond U+FFFF), also inside JSON.
"""

from __future__ import annotations

import json
from typing import Any

NUL = "\0"


def clean(text: str) -> str:
    """Return the text without NUL and lone surrogates. A pair of surrogates becomes its character."""
    if NUL in text:
        text = text.replace(NUL, "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    return text


def clean_json(value: Any) -> Any:
    """Return a parsed JSON value with every string in it cleaned, keys of objects too."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean_json(item) for key, item in value.items()}
    return value


def loads(data: bytes | str, *, with_nan: bool = False) -> Any:
    """Parse JSON as the standard defines it. ValueError for anything else: NaN, infinite numbers, endless nesting.

    `with_nan` admits NaN and infinite numbers.
    """
    try:
        if with_nan:
            return json.loads(data)
        return json.loads(data, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_json(text: str) -> Any:
    """Parse JSON that Postgres can store: `loads`, and every string cleaned. ValueError."""
    return clean_json(loads(text))


class Joiner:
    """Cleans a text that arrives in pieces; one character may be split over two of them, as two surrogates."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, piece: str) -> str:
        """Return the cleaned piece. The first half of a character is held back until the next piece."""
        text = self._half + piece
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return clean(text[:-1] if self._half else text)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return number
