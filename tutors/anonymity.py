"""Anonymises learners' questions: masks what identifies a person, or withholds the text.

If fewer than MIN_LEARNERS people could have asked, any text would identify its author, so only counts are shown.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable

MIN_LEARNERS = 3  # the smallest group that a text or a number of learners may refer to

# All patterns are linear: a run of characters is matched once, from its beginning, never again from within.
_ADDRESS = re.compile(r"[\w.+@-]+")  # e-mail addresses, and words
_MASKS = (
    (re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE), "[link]"),
    (re.compile(r"(?<![\w@])@\w{2,}"), "[name]"),
    (re.compile(r"(?<![\w.])(?:\+\d|0\d|\(\d)[\d ().\-/]{6,}\d(?!\w)"), "[number]"),
    (re.compile(r"(?<![\w.-])\d{3}[-. ]\d{3}[-. ]\d{4}(?![\w.-])"), "[number]"),
    (re.compile(r"(?<![\w.])\d{9,}(?!\w)"), "[number]"),  # a learner id, an account, a passport
)
# _NO_NAMES: common parts of usernames. _ALSO_WORDS: names that are also words, masked only with a capital letter.
_NO_NAMES = frozenset({"learner", "student", "user", "test", "tester", "demo", "guest", "tutor", "admin", "staff"})
_ALSO_WORDS = frozenset(
    {"will", "mark", "may", "grace", "rose", "hope", "bill", "grant", "frank", "max", "rich", "june", "april", "page",
     "august", "long", "case", "art", "dean", "young", "white", "black", "green", "brown", "best", "field", "price"}
)  # fmt: skip
_WORD = re.compile(r"\w+(?:[.'\u2019-]\w+)*")
_INTRODUCED = re.compile(
    r"\b(?:my name is|my name's|i am called|i'm called|call me|ich hei(?:ß|ss)e|mein name ist|je m['\u2019]appelle|"
    r"me llamo|mi chiamo|mam na imię)\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\b(?:regards|cheers|thanks|thank you|greetings|sincerely|grüße|gruß|lg|vg|saludos|merci)[\s,.!-]++|"
    r"\b(?:best|yours)(?P<gap>[\s,]++)-?",
    re.IGNORECASE,
)
_NAME = r"[^\W\d_a-z][\w'\u2019-]{1,60}+"
_AFTER_NAMES = f"{string.whitespace}\u00a0\u2003\u3000.!"
_SIGNATURE = re.compile(rf"{_NAME}(?: {_NAME})?+")


def anonymous(text: str, names: frozenset[str]) -> str | None:
    """Mask e-mail addresses, numbers, links and these people's names.

    Returns None if the author introduces or signs with a name, which may not be in `names`. See `names_of`.
    """
    if _INTRODUCED.search(text) or _is_signed(text):
        return None
    text = _ADDRESS.sub(_mask_address, text)
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return _WORD.sub(lambda match: _mask_name(match[0], names), text)


def names_of(people: Iterable[tuple[str, str, str]]) -> frozenset[str]:
    """Return the lower-case words that identify these people (username, first name, last name)."""
    words = {word for person in people for name in person for word in (name, *_WORD.findall(name), *name.split("-"))}
    return frozenset(word.casefold() for word in words if len(word) > 2 and not word.isdecimal()) - _NO_NAMES


def at_least(count: int) -> int | None:
    """Return the number of learners, or None if it is below MIN_LEARNERS."""
    return count if count >= MIN_LEARNERS else None


def _is_signed(text: str) -> bool:
    """Return whether the text ends with a closing and a name, as in "Best, Anna"."""
    end = len(text.rstrip(_AFTER_NAMES))
    for closing in _CLOSING.finditer(text):
        gap = closing["gap"]
        if gap is None or "," in gap or "\n" in gap:
            name = _SIGNATURE.match(text, closing.end())
            if name and name.end() >= end:
                return True
    return False


def _mask_address(match: re.Match[str]) -> str:
    """Mask a run of characters that holds an e-mail address: "@" with something before it and a dot behind it."""
    run = match[0].rstrip(".+-@")
    before, *behind = run.split("@")
    for part in behind:
        if before and "." in part.strip("."):
            return f"[e-mail]{match[0][len(run) :]}"
        before = part
    return match[0]


def _mask_name(word: str, names: frozenset[str]) -> str:
    parts = [word, *re.split(r"[.'\u2019-]", word)]
    return "[name]" if any(_is_name(part, names) for part in parts) else word


def _is_name(word: str, names: frozenset[str]) -> bool:
    return word.casefold() in names and (word[:1].isupper() or word.casefold() not in _ALSO_WORDS)
