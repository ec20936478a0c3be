"""The one error format of the API: {error: {code, message, details?, retryAfter?}}."""

from __future__ import annotations

import logging
from typing import Any

from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views import defaults
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler
from rest_framework.views import set_rollback

logger = logging.getLogger(__name__)

INVALID = "The request is not valid."
UNSTORABLE = (DataError, UnicodeEncodeError)  # what the database and its driver raise for a value that does not fit
NOT_FOUND = "Not found."


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
    elif isinstance(error, UNSTORABLE):
        logger.error("a value could not be stored", exc_info=error)
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


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 for requests that Django itself refuses, such as those with an unknown Host."""
    if request.path.startswith("/api/"):
        return JsonResponse(body("invalid", INVALID), status=400)
    return defaults.bad_request(request, exception)


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
