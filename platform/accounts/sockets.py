"""Authenticates WebSocket handshakes, and tells which open sockets and event streams may stay open."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host
from django.utils import timezone

from accounts import networks, origins, people
from accounts.models import ApiToken, redeem_ticket
from accounts.people import Person
from config.http import malformed
from config.http.parsers import is_storable
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


@dataclass(frozen=True)
class Pass:
    """What a socket or an event stream was opened with. It ends when one of these is no longer true."""

    person: Person
    password: str = ""  # a fingerprint of the user's password
    session: str = ""  # the session's key; "" for tickets, tokens and visitors
    token: int | None = None  # the primary key of the API token, also of the one that a ticket was issued for


def pass_of(scope: Scope) -> Pass | None:
    """Return the pass of a handshake, by ticket, session cookie or visitor cookie; None means refuse.

    Browsers send our cookies with sockets that other sites open, so cookies count only with our own Origin. Clients
    other than browsers send no Origin and authenticate with a ticket.
    """
    try:
        has_origin = _check_headers(scope)
        if ticket := _ticket(scope):
            return _from_ticket(ticket)
        if not has_origin:
            raise _Refused("it has neither a ticket nor an Origin, without which cookies do not count")
        if allowed := _from_cookies(_cookies(scope)):
            return allowed
        raise _Refused("it has no ticket, and its cookies name neither a signed-in user nor a visitor")
    except _Refused as refused:
        if _log_limit.admits(str(refused)):  # anybody can cause these lines
            logger.log(refused.level, "WebSocket refused: %s", refused)
        return None


def pass_of_request(request: HttpRequest, person: Person) -> Pass:
    """Return the pass of an authenticated HTTP request."""
    token = getattr(request, "auth", None)  # DRF's
    if isinstance(token, ApiToken):
        return _of_user(request.user, token=token.pk) or Pass(person)
    return _of_user(request.user, request.session.session_key or "") or Pass(person)


def still_valid(passes: Collection[Pass]) -> set[Pass]:
    """Return those of these passes that would still be given, with three queries for all of them.

    A pass of a user ends when the account is deactivated or deleted, its password or `is_staff` changes, or the session
    or API token ends. Visitors have no account: theirs do not end.
    """
    users = User.objects.filter(pk__in={each.person.user_id for each in passes}, is_active=True)
    now = {user.pk: _of_user(user) for user in users.only("pk", "password", "is_active", "is_staff")}
    sessions = Session.objects.filter(pk__in={each.session for each in passes}, expire_date__gt=timezone.now())
    tokens = ApiToken.objects.filter(pk__in={each.token or 0 for each in passes}, expires_at__gt=timezone.now())
    open_keys = {"", *sessions.values_list("pk", flat=True)}
    open_tokens = {None, *tokens.values_list("pk", flat=True)}

    def is_valid(each: Pass) -> bool:
        if each.person.user_id is None:
            return True
        user = now.get(each.person.user_id)
        is_same = user is not None and (user.person, user.password) == (each.person, each.password)
        return is_same and each.session in open_keys and each.token in open_tokens

    return {each for each in passes if is_valid(each)}


def network_of(scope: Scope) -> str:
    """Return the network that a handshake comes from, as for HTTP requests."""
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = (scope.get("client") or [""])[0]  # config/http/proxies.py has set it
    return networks.network_of(request)


def fingerprint(session_key: str | None) -> str:
    """Return an identifier for a session that can be published without giving access to it."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()


def _ticket(scope: Scope) -> str | None:
    return next(iter(parse_qs(scope["query_string"].decode("latin1")).get("ticket", ())), None)


def _cookies(scope: Scope) -> dict[str, str]:
    given = parse_cookie("; ".join(value.decode("latin1") for name, value in scope["headers"] if name == b"cookie"))
    return {name: value for name, value in given.items() if is_storable(value)}


def _check_headers(scope: Scope) -> bool:
    """Return whether the handshake has an Origin. Raises _Refused for a foreign one, and for a foreign Host."""
    if problem := malformed.problem_of(scope):
        raise _Refused(problem)
    headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
    host, origin = headers.get("host", ""), headers.get("origin")
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        raise _Refused(f"the host {_shown(host)} is not in ALLOWED_HOSTS", logging.WARNING)
    scheme = "https" if scope.get("scheme") == "wss" else "http"  # config/http/proxies.py has set it
    if origin is not None and not origins.is_ours(origin, scheme, host):
        ours = _shown(f"{scheme}://{host}")
        raise _Refused(f"the origin {_shown(origin)} is neither {ours} nor in TRUSTED_ORIGINS", logging.WARNING)
    return origin is not None


def _from_ticket(ticket: str) -> Pass | None:
    redeemed = redeem_ticket(ticket)
    if redeemed is None:
        raise _Refused("its ticket is unknown, used or has ended")
    return _of_user(redeemed.user, token=redeemed.token_id)


def _from_cookies(cookies: dict[str, str]) -> Pass | None:
    request, key = HttpRequest(), cookies.get(settings.SESSION_COOKIE_NAME)
    request.session = SessionStore(key)
    if of_user := _of_user(get_user(request), key or ""):
        return of_user
    visitor = people.from_visitor_cookie(cookies)
    return Pass(visitor) if visitor else None


def _of_user(user: Any, session: str = "", token: int | None = None) -> Pass | None:
    person = people.from_user(user)
    return Pass(person, user.get_session_auth_hash(), session, token) if person else None


def _shown(text: str) -> str:
    """For the log, in which what is quoted would be left out (config/scrub.py)."""
    return ascii(text)[1:-1][:SHOWN_CHARS]
