"""Limits password guessing. django-axes counts wrong passwords and calls these functions (settings.AXES_*)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from accounts.networks import UNKNOWN, network_of
from config import errors

TOO_MANY = "There were too many wrong passwords. Please try again in ten minutes."


def counted_address(request: HttpRequest) -> str | None:
    """Return the first address of the client's network, which stands for all of it; None if the network is unknown."""
    network = network_of(request)
    return None if network == UNKNOWN else network.partition("/")[0]


def locked(request: HttpRequest, response: HttpResponse, credentials: Any) -> HttpResponse:
    """Answer 429 while sign-in is locked, without checking the password."""
    seconds = round(settings.AXES_COOLOFF_TIME.total_seconds())
    if request.path.startswith("/api/"):
        answer: HttpResponse = JsonResponse(errors.body("too_many_attempts", TOO_MANY, retry_after=seconds), status=429)
    else:
        answer = render(request, "429.html", {"message": TOO_MANY}, status=429)
    answer["Retry-After"] = str(seconds)
    return answer
