"""Checks what enters over HTTP, before any view: bodies have a limit, and texts are such that Postgres can store them.

Postgres refuses NUL characters and half surrogate pairs, and nobody types either. In a body or a form they are answered
with 400 and the name of the field: the author of a client that sends them should see the fault. In a query string,
which only selects, they become U+FFFD, like bytes that are not UTF-8.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.parsers import JSONParser

from config import errors, scrub

logger = logging.getLogger(__name__)

MAX_DEPTH = 32  # of lists and objects in a body; ours have three levels
CHARACTERS = "This contains characters that cannot be stored."
NUMBERS = "This number is too large."
REPLACEMENT = "%EF%BF%BD"  # U+FFFD
CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}


def is_storable(text: str) -> bool:
    """Return whether Postgres can store this text: it has no NUL and no half of a surrogate pair."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


class TooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large."
    default_code = "too_large"


class BoundedJSONParser(JSONParser):
    """Parses JSON of at most `max_bytes`. DRF's own parser has no limit.

    Raises ValidationError with the path of the first text, key or number that cannot be stored.
    """

    max_bytes = settings.MAX_BODY_BYTES

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = stream.read(self.max_bytes + 1)
        if len(body) > self.max_bytes:
            raise TooLarge()
        try:
            parsed = super().parse(io.BytesIO(body), media_type, parser_context)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None
        for path, problem in _problems(parsed, ()):
            raise ValidationError(_at(path, problem))
        return parsed


def _problems(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and the description of each part of a JSON value that cannot be stored."""
    if len(path) > MAX_DEPTH:
        raise ParseError("JSON parse error - nested too deeply")
    match value:
        case str() if not is_storable(value):
            yield path, CHARACTERS
        case float() if not math.isfinite(value):  # 1e999
            yield path, NUMBERS
        case dict():
            for key, inner in value.items():
                if not is_storable(key):
                    yield (*path, ascii(key)[1:-1]), CHARACTERS
                yield from _problems(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from _problems(inner, (*path, str(index)))


def _at(path: tuple[str, ...], problem: str) -> Any:
    """Return the problem in DRF's format: nested by field."""
    detail: Any = [problem]
    for name in reversed(path):
        detail = {name: detail}
    return detail


class StorableText:
    """A middleware that answers 400 for forms, and 404 for paths, with text that Postgres cannot store.

    It reads the query string as UTF-8, whatever the headers say, and replaces what cannot be stored in it. Cookies
    with such text are dropped, so the caller counts as not signed in. What gets past it, such as an id in the admin
    that does not fit its column, is answered with 400 when the database refuses it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        request.COOKIES = {name: value for name, value in request.COOKIES.items() if is_storable(value)}
        charset = request.content_params.get("charset", "utf-8").lower() if request.content_params else "utf-8"
        if charset not in CHARSETS:
            if request.method not in ("GET", "HEAD"):
                return errors.invalid(request, {"charset": ["The body has to be UTF-8."]})
            request.encoding = "utf-8"
        if not is_storable(request.path):
            return errors.page_not_found(request, Http404())
        query = request.META.get("QUERY_STRING", "")
        if (storable := query.replace("\0", REPLACEMENT).replace("%00", REPLACEMENT)) != query:
            request.GET = QueryDict(storable)
        if problems := _unstorable(request.POST.lists()):
            return errors.invalid(request, problems)
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 400 for a value that the database refused."""
        if not isinstance(exception, errors.UNSTORABLE):
            return None
        logger.warning("a page was given a value that cannot be stored: %s", scrub.reason(exception))
        return errors.invalid(request, {})


def _unstorable(fields: Iterable[tuple[str, list[Any]]]) -> dict[str, list[str]]:
    return {ascii(name)[1:-1]: [CHARACTERS] for name, values in fields if not all(map(is_storable, (name, *values)))}
