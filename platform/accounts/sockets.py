"""Who is behind a WebSocket handshake, if it may be let in at all."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host

from accounts import origins, people
from accounts.models import redeem_ticket
from accounts.people import Person

Scope = dict[str, Any]


def person_of(scope: Scope) -> Person | None:
    """The person of a handshake: by ticket, session cookie or visitor cookie. None means: refuse.

    A browser sends cookies with a socket that any site opens, so cookies count only with our own Origin. Clients
    that are no browsers send no Origin; they come with a ticket.
    """
    headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
    if not _is_our_host(headers.get("host", "")):
        return None
    origin = headers.get("origin")
    if origin is not None and not origins.is_ours(origin, _scheme(scope, headers), headers["host"]):
        return None
    if ticket := _ticket(scope):
        return people.from_user(redeem_ticket(ticket))
    return _from_cookies(_cookies(scope)) if origin is not None else None


def may_stay(scope: Scope, person: Person) -> bool:
    """Whether a socket that was let in for this person would be let in again: it outlives sessions and accounts."""
    if _ticket(scope):  # good for one handshake; what is left to ask is whether the user has been switched off
        return people.from_user(User.objects.filter(pk=person.user_id or 0).first()) == person
    return _from_cookies(_cookies(scope)) == person


def session_of(scope: Scope) -> str:
    """Which session the handshake came with, as a fingerprint that opens nothing."""
    return fingerprint(_cookies(scope).get(settings.SESSION_COOKIE_NAME))


def fingerprint(session_key: str | None) -> str:
    """By which a session can be named to others."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()


def _ticket(scope: Scope) -> str | None:
    return next(iter(parse_qs(scope["query_string"].decode("latin1")).get("ticket", ())), None)


def _cookies(scope: Scope) -> dict[str, str]:
    return parse_cookie("; ".join(value.decode("latin1") for name, value in scope["headers"] if name == b"cookie"))


def _from_cookies(cookies: dict[str, str]) -> Person | None:
    request = HttpRequest()
    request.session = SessionStore(cookies.get(settings.SESSION_COOKIE_NAME))
    return people.from_user(get_user(request)) or people.from_visitor_cookie(cookies)


def _is_our_host(host: str) -> bool:
    return validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)


def _scheme(scope: Scope, headers: dict[str, str]) -> str:
    forwarded = settings.SECURE_PROXY_SSL_HEADER and headers.get("x-forwarded-proto")
    return forwarded or ("https" if scope.get("scheme") == "wss" else "http")
