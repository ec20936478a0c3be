"""Authenticates WebSocket handshakes."""

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
from config.parsers import is_storable

Scope = dict[str, Any]


def person_of(scope: Scope) -> Person | None:
    """Return the person of a handshake, by ticket, session cookie or visitor cookie; None means refuse.

    Browsers send our cookies with sockets that other sites open, so cookies count only with our own Origin. Clients
    other than browsers send no Origin and authenticate with a ticket.
    """
    headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
    if not validate_host(split_domain_port(headers.get("host", ""))[0], settings.ALLOWED_HOSTS):
        return None
    origin = headers.get("origin")
    if origin is not None and not origins.is_ours(origin, _scheme(scope, headers), headers["host"]):
        return None
    if ticket := _ticket(scope):
        return people.from_user(redeem_ticket(ticket))
    return _from_cookies(_cookies(scope)) if origin is not None else None


def may_stay(scope: Scope, person: Person) -> bool:
    """Return whether this socket would still be accepted for this person: it can outlive the session or the account."""
    if _ticket(scope):  # used up by the handshake, so only check that the user is still active
        return people.from_user(User.objects.filter(pk=person.user_id or 0).first()) == person
    return _from_cookies(_cookies(scope)) == person


def session_of(scope: Scope) -> str:
    """Return the fingerprint of the session that the handshake came with."""
    return fingerprint(_cookies(scope).get(settings.SESSION_COOKIE_NAME))


def fingerprint(session_key: str | None) -> str:
    """Return an identifier for a session that can be published without giving access to it."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()


def _ticket(scope: Scope) -> str | None:
    return next(iter(parse_qs(scope["query_string"].decode("latin1")).get("ticket", ())), None)


def _cookies(scope: Scope) -> dict[str, str]:
    given = parse_cookie("; ".join(value.decode("latin1") for name, value in scope["headers"] if name == b"cookie"))
    return {name: value for name, value in given.items() if is_storable(value)}


def _from_cookies(cookies: dict[str, str]) -> Person | None:
    request = HttpRequest()
    request.session = SessionStore(cookies.get(settings.SESSION_COOKIE_NAME))
    return people.from_user(get_user(request)) or people.from_visitor_cookie(cookies)


def _scheme(scope: Scope, headers: dict[str, str]) -> str:
    forwarded = settings.SECURE_PROXY_SSL_HEADER and headers.get("x-forwarded-proto")
    return forwarded or ("https" if scope.get("scheme") == "wss" else "http")
