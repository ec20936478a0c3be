"""Recognises requests that no correct client sends, before code fails on them wherever it reads them first."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

CHARSETS = {"utf-8", "ascii"}


def problem_of(scope: Mapping[str, Any]) -> str:
    """Return what is wrong with the ASGI scope, for the person; "" if nothing is."""
    # Postgres stores no NUL, and headers become session keys and rows of failed sign-ins. HTTP allows none either.
    return "A header contains a NUL character." if any(b"\0" in value for _, value in scope["headers"]) else ""


def problem_of_charset(request: HttpRequest) -> str:
    """Return what is wrong with the charset of the Content-Type; "" if nothing is.

    Python knows "charsets" that are no encodings of text, such as `hex`, on which parsers fail. Unknown ones count as
    UTF-8, as in Django.
    """
    if request.encoding and codecs.lookup(request.encoding).name not in CHARSETS:
        return "The charset of a request must be UTF-8."
    return ""
