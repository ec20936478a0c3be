"""Anonymous visitors: the signed cookie that makes somebody recognisable, and which pages may speak for them."""

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
    """Who is asking, and "" or the cookie to be set for a visitor who is new.

    The rest of the request then sees the new visitor as if the cookie had come with it.
    """
    if person := people.from_request(request):
        return person, ""
    visitor = secrets.token_hex(16)
    cookie = signing.Signer(salt=VISITOR_COOKIE).sign(visitor)
    request.COOKIES[VISITOR_COOKIE] = cookie
    return Person(visitor=visitor), cookie


def set_cookie(response: HttpResponseBase, cookie: str) -> None:
    """Let the browser keep it: out of reach for scripts, and not sent along by other sites' pages."""
    response.set_cookie(
        VISITOR_COOKIE,
        cookie,
        max_age=COOKIE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def comes_from_us(request: HttpRequest) -> bool:
    """Whether this may be a page of ours, or no browser at all. Browsers name the page's origin with every POST.

    A visitor has no CSRF token, and needs none: what tells a page of ours apart is where it comes from.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
    return origins.is_ours(origin, request.scheme or "", request.get_host())
