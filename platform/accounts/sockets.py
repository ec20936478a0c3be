"""Authenticates WebSocket handshakes, and tells which open sockets and event streams may stay open."""

from __future__ import annotations

import hashlib
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
from accounts.models import redeem_ticket
from accounts.people import Person

Scope = dict[str, Any]


@dataclass(frozen=True)
class Pass:
    """What a socket or an event stream was opened with. It ends when one of these is no longer true."""

    person: Person
    password: str = ""  # a fingerprint of the user's password
    session: str = ""  # the session's key; "" for tickets, tokens and visitors


def pass_of(scope: Scope) -> Pass | None:
    """Return the pass of a handshake, by ticket, session cookie or visitor cookie; None means refuse.

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
        return _of_user(redeem_ticket(ticket))
    return _from_cookies(_cookies(scope)) if origin is not None else None


def pass_of_request(request: HttpRequest, person: Person) -> Pass:
    """Return the pass of an authenticated HTTP request."""
    session = "" if getattr(request, "auth", None) else request.session.session_key or ""  # `auth` is DRF's token
    return _of_user(request.user, session) or Pass(person)


def still_valid(passes: Collection[Pass]) -> set[Pass]:
    """Return those of these passes that would still be given, with two queries for all of them.

    A pass of a user ends when the account is deactivated or deleted, its password or `is_staff` changes, or the session
    ends. Visitors have no account: theirs do not end.
    """
    users = User.objects.filter(pk__in={each.person.user_id for each in passes}, is_active=True)
    now = {user.pk: _of_user(user) for user in users.only("pk", "password", "is_active", "is_staff")}
    keys = {each.session for each in passes if each.session}
    sessions = Session.objects.filter(pk__in=keys, expire_date__gt=timezone.now()) if keys else Session.objects.none()
    open_sessions = {"", *sessions.values_list("pk", flat=True)}

    def is_valid(each: Pass) -> bool:
        if each.person.user_id is None:
            return True
        user = now.get(each.person.user_id)
        is_same = user is not None and (user.person, user.password) == (each.person, each.password)
        return is_same and each.session in open_sessions

    return {each for each in passes if is_valid(each)}


def network_of(scope: Scope) -> str:
    """Return the network that a handshake comes from, as for HTTP requests."""
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = (scope.get("client") or [""])[0]
    forwarded = [value.decode("latin1") for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    if forwarded:
        request.META["HTTP_X_FORWARDED_FOR"] = ",".join(forwarded)
    return networks.network_of(request)


def fingerprint(session_key: str | None) -> str:
    """Return an identifier for a session that can be published without giving access to it."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()


def _ticket(scope: Scope) -> str | None:
    return next(iter(parse_qs(scope["query_string"].decode("latin1")).get("ticket", ())), None)


def _cookies(scope: Scope) -> dict[str, str]:
    return parse_cookie("; ".join(value.decode("latin1") for name, value in scope["headers"] if name == b"cookie"))


def _from_cookies(cookies: dict[str, str]) -> Pass | None:
    request, key = HttpRequest(), cookies.get(settings.SESSION_COOKIE_NAME)
    request.session = SessionStore(key)
    if of_user := _of_user(get_user(request), key or ""):
        return of_user
    visitor = people.from_visitor_cookie(cookies)
    return Pass(visitor) if visitor else None


def _of_user(user: Any, session: str = "") -> Pass | None:
    person = people.from_user(user)
    return Pass(person, user.get_session_auth_hash(), session) if person else None


def _scheme(scope: Scope, headers: dict[str, str]) -> str:
    forwarded = settings.SECURE_PROXY_SSL_HEADER and headers.get("x-forwarded-proto")
    return forwarded or ("https" if scope.get("scheme") == "wss" else "http")
