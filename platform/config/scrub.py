"""The text of exceptions without the values that they quote, which may be people's words.

Logs are read by operators, and the details of jobs by staff who may not read what people say. Every exception that is
logged or stored goes through this module. All patterns are linear in the length of the text.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator

import psycopg
import pydantic_core
from django.db import Error

LEFT_OUT = "[left out]"
REASON_CHARS = 300
_QUOTES = "\"'\u201c\u2018"
# What Postgres adds to its message: the row, the statement, the parameter that it could not read. In the repr() of an
# exception, line breaks are written as \n.
_ADDED = re.compile(r"(?:^|\n|\\n)(?:DETAIL|CONTEXT|HINT|QUERY|STATEMENT|LINE \d{1,9}):")
# A quoted value may have several lines. It ends where a traceback goes on, or with the text.
_REST = r"(?s:.*?)(?=\n  File \"|\nTraceback |\nThe above exception |\nDuring handling |\Z)"
_INLINE = (
    (re.compile(rf"(?<= validation error)(s? for [^\n]*){_REST}"), rf"\1 {LEFT_OUT}"),  # pydantic: keys and values
    (re.compile(rf"Key \([^()\n]*\)=\({_REST}"), f"Key {LEFT_OUT}"),
    (re.compile(rf"((?::|\b(?:value|token|near))[ \t]\\{{0,3}})[{_QUOTES}]{_REST}"), rf"\1{LEFT_OUT}"),
    # Anything else in quotes, unless it looks like the name of a column, an attribute or a file.
    (
        re.compile(
            r"(?<!\w)(?:\"(?![\w./<>-]{1,256}\")[^\"\n]*\"?|'(?![\w./<>-]{1,256}')[^'\n]*'?|\u201c[^\u201d\n]*\u201d?"
            r"|\u2018[^\u2019\n]*\u2019?)"
        ),
        LEFT_OUT,
    ),
)


_CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
_WHILE_HANDLING = "\nDuring handling of the above exception, another exception occurred:\n\n"


def scrubbed(text: str) -> str:
    """Return an error's text, or a log message with one, without the values that it quotes. Postgres can store it."""
    if added := _ADDED.search(text):
        text = f"{text[: added.start()]}{LEFT_OUT}"
    for pattern, instead in _INLINE:
        text = pattern.sub(instead, text)
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def message_of(error: BaseException) -> str:
    """Return str(error) without the values that it quotes."""
    if isinstance(error, pydantic_core.ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return f"{error.error_count()} errors of {error.title}: {', '.join(e['type'] for e in found)} {LEFT_OUT}"
    text = str(error)
    if isinstance(error, Error | psycopg.Error):  # further lines add to the message, or are a part of a quoted value
        first, *more = text.split("\n", 1)
        return scrubbed(first) + (f" {LEFT_OUT}" if more else "")
    return scrubbed(text)


def reason(error: BaseException) -> str:
    """Return the exception's type and message in at most REASON_CHARS, for a row that staff see."""
    return f"{type(error).__name__}: {message_of(error)}"[:REASON_CHARS]


def traceback_of(error: BaseException) -> str:
    """Format the exception like the traceback module, with its causes, notes and groups, without quoted values."""
    return "".join(_lines(error, set())).rstrip()


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen)
        yield _CAUSED if error.__cause__ else _WHILE_HANDLING
    if error.__traceback__:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}: {message_of(error)}\n".removeprefix("builtins.")
    yield from (f"{scrubbed(note)}\n" for note in getattr(error, "__notes__", ()))
    if isinstance(error, BaseExceptionGroup):
        for number, inner in enumerate(error.exceptions, start=1):
            yield f"---- {number} of {len(error.exceptions)} ----\n"
            yield from _lines(inner, seen)
