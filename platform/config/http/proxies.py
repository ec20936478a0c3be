"""Reads what the proxies in front of us say about a request: the client's address, and whether it came by TLS.

This is the only module that reads X-Forwarded-For and X-Forwarded-Proto. It writes what they say into the ASGI scope,
as `client` and `scheme`, where Django, the Origin check, the limits by network and the access log find it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address, ip_address
from typing import Any

from django.conf import settings

from config.health import PAGES

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]

IS_SECURE = {"https": True, "wss": True, "http": False, "ws": False}
SHOWN_CHARS = 60  # of an unreadable value in the log
UNPROXIED_PATHS = {*PAGES, "/metrics"}  # probes and scrapers come from inside, past the proxies


class Proxies:
    """The outermost ASGI application: replaces `client` and `scheme` of the scope by what the proxies say."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one HTTP request or WebSocket."""
        if scope["type"] in ("http", "websocket"):
            scope = {**scope, "client": self._client(scope), "scheme": self._scheme(scope)}
        await self._app(scope, receive, send)

    def _client(self, scope: Scope) -> list[Any] | None:
        """Return the client's [address, port]; None if the proxies do not say it readably.

        Each proxy appends the address that it saw. The client may have forged everything before those.
        """
        if not settings.PROXIES:
            return scope.get("client")
        seen = _values(scope, b"x-forwarded-for")
        address = address_in(seen[-settings.PROXIES]) if len(seen) >= settings.PROXIES else None
        if address is None:
            self._tell(scope, "X-Forwarded-For", seen, f"is no list of at least PROXIES={settings.PROXIES} addresses")
            return None
        return [address, 0]

    def _scheme(self, scope: Scope) -> str:
        """Return "https" or "http", for a WebSocket "wss" or "ws".

        Of several values the first counts, that of the proxy which the client talks to. A client that could forge it
        would lose nothing but its own redirect to HTTPS.
        """
        is_secure = scope.get("scheme") in ("https", "wss")
        if settings.BEHIND_PROXY:
            seen = _values(scope, b"x-forwarded-proto")
            if seen and seen[0].lower() in IS_SECURE:
                is_secure = IS_SECURE[seen[0].lower()]
            else:
                self._tell(scope, "X-Forwarded-Proto", seen, "is not http, https, ws or wss")
        return {"http": "http", "websocket": "ws"}[scope["type"]] + ("s" if is_secure else "")

    def _tell(self, scope: Scope, name: str, seen: list[str], problem: str) -> None:
        """Log that a header cannot be read, once for each header that is missing or unreadable."""
        kind = f"{name} {'is unreadable' if seen else 'is missing'}"
        if kind in self._told or (not seen and scope["path"] in UNPROXIED_PATHS):
            return
        self._told.add(kind)
        value = ascii(", ".join(seen))[:SHOWN_CHARS]
        logger.warning("%s: %s %s; see BEHIND_PROXY and PROXIES in docs/operations.md", kind, value, problem)


def address_in(text: str) -> str | None:
    """Return the IP address of one element of X-Forwarded-For, without port and zone; None if there is none.

    Proxies write `203.0.113.5`, `203.0.113.5:5555`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`, also quoted.
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(address.ipv4_mapped or address) if isinstance(address, IPv6Address) else str(address)


def _values(scope: Scope, name: bytes) -> list[str]:
    """Return the elements of a list header, which may be sent in several lines. Empty elements do not count."""
    lines = [value.decode("latin1") for header, value in scope["headers"] if header.lower() == name]
    elements = (part.strip().strip('"').strip() for part in ",".join(lines).split(","))
    return [element for element in elements if element]
