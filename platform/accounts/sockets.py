"""Authenticates WebSocket handshakes."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host

from accounts import origins, people
from accounts.models import redeem_ticket
from accounts.people import Person

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
        redeemed = scope["redeemed_ticket"] = redeem_ticket(ticket)
        return people.from_user(redeemed.user) if redeemed else None
    return people.from_cookies(_cookies(scope)) if origin is not None else None


def may_stay(scope: Scope, person: Person) -> bool:
    """Return whether this socket would still be accepted for this person: it can outlive the session or the account.

    It ends with the session or API token that it came with, a change of the password, and the deactivation of the user.
    """
    if redeemed := scope.get("redeemed_ticket"):
        return people.from_user(redeemed.current_user()) == person
    return people.from_cookies(_cookies(scope)) == person


def session_of(scope: Scope) -> str:
    """Return the fingerprint of the session that the handshake came with."""
    return fingerprint(_cookies(scope).get(settings.SESSION_COOKIE_NAME))


def fingerprint(session_key: str | None) -> str:
    """Return an identifier for a session that can be published without giving access to it."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()


def _ticket(scope: Scope) -> str | None:
    return next(iter(parse_qs(scope["query_string"].decode("latin1")).get("ticket", ())), None)


def _cookies(scope: Scope) -> dict[str, str]:
    return parse_cookie("; ".join(value.decode("latin1") for name, value in scope["headers"] if name == b"cookie"))


def _scheme(scope: Scope, headers: dict[str, str]) -> str:
    forwarded = settings.SECURE_PROXY_SSL_HEADER and headers.get("x-forwarded-proto")
    return forwarded or ("https" if scope.get("scheme") == "wss" else "http")
