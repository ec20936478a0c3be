"""Authenticates WebSocket handshakes."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.db import DataError
from django.http import parse_cookie
from django.http.request import split_domain_port, validate_host

from accounts import origins, people
from accounts.models import redeem_ticket
from accounts.people import Person
from config import malformed
from config.log_limit import LogLimit

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
SHOWN_CHARS = 100  # of a host or an origin in the log

_log_limit = LogLimit()


class _Refused(Exception):
    """Why a handshake is refused, for the log."""

    def __init__(self, reason: str, level: int = logging.INFO) -> None:
        super().__init__(reason)
        self.level = level


def person_of(scope: Scope) -> Person | None:
    """Return the person of a handshake, by ticket, session cookie or visitor cookie; None means refuse.

    Browsers send our cookies with sockets that other sites open, so cookies count only with our own Origin. Clients
    other than browsers send no Origin and authenticate with a ticket.
    """
    try:
        has_origin = _check_headers(scope)
        if ticket := _ticket(scope):
            return _from_ticket(scope, ticket)
        if not has_origin:
            raise _Refused("it has neither a ticket nor an Origin, without which cookies do not count")
        with contextlib.suppress(DataError):  # a cookie with a NUL in it
            if person := people.from_cookies(_cookies(scope)):
                return person
        raise _Refused("it has no ticket, and its cookies name neither a signed-in user nor a visitor")
    except _Refused as refused:
        if _log_limit.admits(str(refused)):  # anybody can cause these lines
            logger.log(refused.level, "WebSocket refused: %s", refused)
        return None


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


def _check_headers(scope: Scope) -> bool:
    """Return whether the handshake has an Origin. Raises _Refused for a foreign one, and for a foreign Host."""
    if problem := malformed.problem_of(scope):
        raise _Refused(problem)
    headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
    host, origin = headers.get("host", ""), headers.get("origin")
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        raise _Refused(f"the host {_shown(host)} is not in ALLOWED_HOSTS", logging.WARNING)
    scheme = "https" if scope.get("scheme") == "wss" else "http"  # config/proxies.py has set it
    if origin is not None and not origins.is_ours(origin, scheme, host):
        ours = _shown(f"{scheme}://{host}")
        raise _Refused(f"the origin {_shown(origin)} is neither {ours} nor in TRUSTED_ORIGINS", logging.WARNING)
    return origin is not None


def _from_ticket(scope: Scope, ticket: str) -> Person | None:
    redeemed = scope["redeemed_ticket"] = redeem_ticket(ticket)  # may_stay() asks it again
    if redeemed is None:
        raise _Refused("its ticket is unknown, used or has ended")
    return people.from_user(redeemed.user)


def _shown(text: str) -> str:
    return ascii(text)[:SHOWN_CHARS]
