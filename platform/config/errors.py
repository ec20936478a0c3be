"""The one error format of the API: {error: {code, message, details?, retryAfter?}}."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler
from rest_framework.views import set_rollback

logger = logging.getLogger(__name__)

INVALID = "The request is not valid."
NOT_FOUND = "Not found."
BAD_REQUEST_PAGE = """<!doctype html>
<html lang="en"><head><title>Bad request</title></head><body><h1>Bad request</h1><p>{message}</p></body></html>
"""
# What Django raises for requests that it cannot read or does not trust, and answers with 400. DRF does not know them.
REFUSED_BY_DJANGO = (BadRequest, SuspiciousOperation, MultiPartParserError)
# A NUL or a lone surrogate in a text, a year or a number beyond what Postgres knows.
UNSTORABLE = (DataError, OverflowError, UnicodeEncodeError)


class Problem(exceptions.APIException):
    """An error response of the API: HTTP status, code, and a message for the person."""

    def __init__(
        self,
        status_code: int,
        code: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, code)
        self.status_code = status_code
        self.code = code
        self.details = details
        self.wait = retry_after  # DRF turns this into the Retry-After header


def body(code: str, message: str, details: Any = None, retry_after: int | None = None) -> dict[str, Any]:
    """Return the error in the format of the API."""
    error = {"code": code, "message": message, "details": details, "retryAfter": retry_after}
    return {"error": {key: value for key, value in error.items() if value is not None}}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Convert every exception of an API view to the error format. Unexpected ones are logged and answered with 500."""
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("API view failed: no database connection: %s", error)
        error = Problem(503, "database_away", "The platform's database cannot be reached. Please try again.", None, 5)
    elif isinstance(error, REFUSED_BY_DJANGO):
        error = Problem(400, "invalid", INVALID)
    elif isinstance(error, UNSTORABLE):
        logger.error("API view failed: a value of the request cannot be stored or compared", exc_info=error)
        set_rollback()
        error = Problem(400, "invalid", "This contains a value that cannot be stored.")
    response = drf_exception_handler(error, context)
    if response is None:
        logger.exception("unexpected exception in an API view", exc_info=error)
        set_rollback()
        return Response(body("internal", "Something went wrong on our side."), status=500)
    if isinstance(error, exceptions.UnsupportedMediaType | exceptions.ParseError):
        response.status_code = status.HTTP_400_BAD_REQUEST
    response.data = _body_of(error)
    return response


def _body_of(error: Exception) -> dict[str, Any]:
    match error:
        case Problem():
            return body(error.code, str(error.detail), error.details, error.wait)
        case exceptions.ValidationError():
            return body("invalid", _first_text(error.detail), error.detail)
        case exceptions.APIException():
            return body(str(error.get_codes()), str(error.detail))
    return body("forbidden" if "Permission" in type(error).__name__ else "not_found", NOT_FOUND)


def _first_text(detail: Any) -> str:
    """Return the first message together with its field, for the person."""
    while isinstance(detail, list) and detail:
        detail = detail[0]
    if isinstance(detail, dict) and detail:
        field, inner = next(iter(detail.items()))
        return f"{field}: {_first_text(inner)}"
    return str(detail) or INVALID


def wait(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Answer with a problem that passes by itself (429, 503): JSON below /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        error = body(problem.code, str(problem.detail), problem.details, problem.wait)
        answer: HttpResponse = JsonResponse(error, status=problem.status_code)
    else:
        answer = render(request, "wait.html", {"message": problem.detail}, status=problem.status_code)
    answer["Retry-After"] = str(problem.wait)
    return answer


class ErrorPages:
    """Middleware: answers exceptions of pages and of the admin that are no fault of the server, as API views do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve one request."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the answer; None for other exceptions, which Django handles."""
        if isinstance(exception, Problem) and exception.wait:
            return wait(request, exception)
        if isinstance(exception, UNSTORABLE):
            logger.error("page failed: a value of the request cannot be stored or compared", exc_info=exception)
            return malformed(request.path)
        return None


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 for requests that Django itself refuses, such as those with an unknown Host."""
    return malformed(request.path)


def malformed(path: str, message: str = INVALID) -> HttpResponse:
    """Answer 400: JSON below /api/, a page elsewhere."""
    if path.startswith("/api/"):
        return JsonResponse(body("invalid", message), status=400)
    return HttpResponseBadRequest(BAD_REQUEST_PAGE.format(message=message))


def invalid(request: HttpRequest, problems: dict[str, list[str]]) -> HttpResponse:
    """Answer 400 and name the fields: in the format of the API below /api/, with a page elsewhere."""
    if request.path.startswith("/api/"):
        return JsonResponse(body("invalid", _first_text(problems), problems or None), status=400)
    return render(request, "400.html", {"fields": ", ".join(problems)}, status=400)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 for unknown paths: JSON below /api/, a page elsewhere."""
    return _answer(request, 404, "not_found", NOT_FOUND)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403 for a page that raised PermissionDenied."""
    return _answer(request, 403, "forbidden", "You may not open this.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 without details of the error."""
    return _answer(request, 500, "internal", "Something went wrong on our side.")


def _answer(request: HttpRequest, code: int, name: str, message: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse(body(name, message), status=code)
    return render(request, f"{code}.html", status=code)
