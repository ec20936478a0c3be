"""Anonymous visitors: the signed cookie that identifies them, and the check that protects their requests."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from accounts import origins, people
from accounts.people import VISITOR_COOKIE, Person

COOKIE_SECONDS = 30 * 24 * 3600


def admit(request: Request) -> tuple[Person, str]:
    """Return the person, and the cookie to set if this is a new visitor, else "".

    For a new visitor it also adds the cookie to the request, so that later code sees the same person.
    """
    if person := people.from_request(request):
        return person, ""
    visitor = secrets.token_hex(16)
    cookie = signing.Signer(salt=VISITOR_COOKIE).sign(visitor)
    request.COOKIES[VISITOR_COOKIE] = cookie
    return Person(visitor=visitor), cookie


def set_cookie(response: HttpResponseBase, cookie: str) -> None:
    """Set the cookie so that scripts cannot read it and browsers do not send it with other sites' POST requests."""
    response.set_cookie(
        VISITOR_COOKIE,
        cookie,
        max_age=COOKIE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def comes_from_us(request: HttpRequest) -> bool:
    """Return whether the request comes from a page of this site, or from a client that is not a browser.

    Browsers send the Origin with every POST, so this check replaces the CSRF token, which visitors do not have.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
    return origins.is_ours(origin, request.scheme or "", request.get_host())
