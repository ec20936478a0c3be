"""Amounts and dates in a model's text: filled in from rows, or removed. Invented figures are never shown.

The model writes placeholders, {{price:sql}}, because the prompt does not contain the figures. A figure that the model
writes itself is kept only if the same figure appears in the facts of the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

INSTEAD = "[see the course list](/#courses)"
CONTACT = "[write to us](#contact)"
MASK = "…"

_SYMBOL = r"(?:[€$£¥₹]|&(?:euro|pound|yen|dollar|#\d{2,5}|#x[\da-f]{2,4});)"
_CURRENCY = r"(?:EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|JPY|INR|euros?|dollars?|pounds?|francs?|franken|cents?|livres?)"
_NUMBER = r"\d{1,9}(?:[.,'\u2019\s]\d{3}){0,3}(?:[.,]\d{1,2})?(?:,[-\u2013])?"
_BOLD = r"[*_]{1,3}"
_NUMERAL = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    r"eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand)"
)
_MONTH = (
    r"(?:(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?|(?:january|february|march|april|may|june|july|august|"
    r"september|october|november|december|januar|februar|märz|mai|juni|juli|oktober|dezember|janvier|février|mars|"
    r"avril|juin|juillet|août|septembre|octobre|novembre|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|"
    r"septiembre|octubre|noviembre|diciembre)\b)"
)
_YEAR = r"(?:19|20)\d\d"
_DAY = r"\d{1,2}(?:st|nd|rd|th|er|\.)?"
_PLACEHOLDER = (
    rf"(?:{_SYMBOL}\s?)?\{{{{\s{{0,3}}(?P<name>[^{{}}]{{1,70}}?)\s{{0,3}}\}}}}(?:\s?(?:{_SYMBOL}|{_CURRENCY}\b))?"
)
_AMOUNTS = (
    rf"(?:{_SYMBOL}|\b{_CURRENCY})\s?(?:{_NUMBER}|{_BOLD}{_NUMBER}{_BOLD})",
    rf"(?:{_NUMBER}|{_BOLD}{_NUMBER}{_BOLD})\s?(?:{_SYMBOL}|{_CURRENCY}\b|%|percent\b|prozent\b)",
    rf"\b{_NUMERAL}(?:[\s-](?:and\s)?{_NUMERAL}){{0,5}}\s(?:{_CURRENCY}|percent)\b",
    rf"{_YEAR}[-/.]\d{{1,2}}[-/.]\d{{1,2}}",
    rf"\d{{1,2}}[-/.]\s?\d{{1,2}}[-/.]\s?(?:{_YEAR}|\d\d)(?!\d)",
    rf"{_DAY}\s(?:of\s|de\s)?{_MONTH}(?:,?\s(?:de\s)?{_YEAR})?",
    rf"\b{_MONTH}\s(?:{_YEAR}|{_DAY}(?!\d)(?:,?\s{_YEAR})?)",
)
_TOKEN = re.compile(f"{_PLACEHOLDER}|{'|'.join(_AMOUNTS)}", re.IGNORECASE)
# Where a token may start. An unfinished word at the end may become the start of a token.
_BEGINNING = re.compile(rf"[\d€$£¥₹&*_{{]|(?<!\w)(?:{_CURRENCY}|{_NUMERAL}|{_MONTH}|\w++\Z)", re.IGNORECASE)
MAX_TOKEN_CHARS = 160  # no token is longer


class Quoting:
    """Filters a streamed answer: fills in placeholders, and replaces amounts and dates that the facts do not state.

    Text that could still become a placeholder, an amount or a date is held back until more text decides.
    `values` maps placeholders to their values; amounts in `stated` are kept.
    """

    def __init__(self, values: Mapping[str, str], stated: frozenset[str] = frozenset()) -> None:
        self._values = values
        self._stated = stated
        self._raw = ""
        self._done = 0

    def feed(self, piece: str) -> str:
        """Add a piece of text; return the text that can be shown now, which may be empty."""
        self._raw += piece
        held = _BEGINNING.search(self._raw, max(self._done, len(self._raw) - MAX_TOKEN_CHARS))
        return self._release(held.start() if held else len(self._raw))

    def end(self) -> str:
        """Return the rest of the text after the last piece."""
        return self._release(len(self._raw))

    def _release(self, upto: int) -> str:
        shown = []
        while (token := _TOKEN.search(self._raw, self._done)) and token.start() < upto:
            shown += [self._raw[self._done : token.start()], self._replacement(token)]
            self._done = token.end()
        shown.append(self._raw[self._done : upto])
        done = max(self._done, upto)
        # What is done is dropped, or long answers would cost the square of their length. Patterns look one back.
        self._raw, self._done = self._raw[max(0, done - 1) :], min(done, 1)
        return "".join(shown)

    def _replacement(self, token: re.Match[str]) -> str:
        if name := token["name"]:
            name = re.sub(r"\s", "", name).lower()
            return CONTACT if name == "contact" else self._values.get(name, INSTEAD)
        return token[0] if _plain(token[0]) in self._stated else INSTEAD


def fill(text: str, values: Mapping[str, str]) -> str:
    """Fill in the placeholders of a text that staff wrote. Its own amounts are kept."""
    quoting = Quoting(values, amounts_in([text]))
    return quoting.feed(text) + quoting.end()


def amounts_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the amounts and dates in these texts."""
    return frozenset(_plain(token[0]) for text in texts for token in _TOKEN.finditer(text) if not token["name"])


def mask(text: str) -> str:
    """Remove amounts and dates from an earlier answer, because they may have changed since."""
    return _TOKEN.sub(MASK, text)


def _plain(amount: str) -> str:
    return re.sub(r"[\s*_]+", "", amount).lower()
