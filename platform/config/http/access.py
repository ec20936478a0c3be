"""The ASGI application around all others but Proxies: gives every request an id, writes the access log."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from config import logs

logger = logging.getLogger("access")

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID_HEADER = b"x-request-id"
SAFE_REQUEST_ID = re.compile(rb"[\w.-]{1,64}")
JOB_PATH = re.compile(rb"/api/jobs/([0-9a-f-]{36})")
TRY_LATER = 1013  # the close code of an application that refuses a handshake because it is full
CLIENT_CLOSED_REQUEST = 499  # the conventional status for a client that disconnected before the response
QUIET_PATHS = {"/healthz", "/readyz", "/metrics"}  # polled by monitoring; logged at DEBUG


class Access:
    """Wraps an ASGI application. It keeps the X-Request-ID of a request if that matches SAFE_REQUEST_ID."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request or WebSocket."""
        with logs.about(request_id=_request_id(scope)):
            visit = _Visit(scope, send)
            try:
                await self._app(scope, receive, visit.send)
            except Exception:
                visit.status = visit.status or 500
                raise
            finally:
                visit.log()


class _Visit:
    """One request or socket, and its outcome."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._began = time.perf_counter()
        self.status = 0
        self.job_id = ""  # the job that this request submitted, cancelled or retried

    async def send(self, message: Message) -> None:
        """Forward the application's message, note its status, and add the request id to the response headers."""
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
                headers = [*message.get("headers", [])]
                self.job_id = _job_of(headers)
                message["headers"] = [*headers, (REQUEST_ID_HEADER, logs.request_id().encode())]
            case "websocket.accept":
                self.status = 101
            case "websocket.close" if not self.status:
                self.status = 503 if message.get("code") == TRY_LATER else 403  # as config/http/server.py answers
        await self._send(message)

    def log(self) -> None:
        """Write the access log line. It omits the query string, which may contain a ticket."""
        fields = {
            "method": self._scope.get("method", "WEBSOCKET"),
            "path": quote(self._scope["path"]),
            "status": self.status or CLIENT_CLOSED_REQUEST,
            "duration_ms": round((time.perf_counter() - self._began) * 1000),
            "client": (self._scope.get("client") or ["unknown"])[0],  # the address that limits by network count
            **({"job_id": self.job_id} if self.job_id else {}),
        }
        level = logging.DEBUG if self._scope["path"] in QUIET_PATHS else logging.INFO
        logger.log(level, "%(method)s %(path)s %(status)s", fields, extra=fields)


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(REQUEST_ID_HEADER, b"")
    return given.decode() if SAFE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _job_of(headers: list[tuple[bytes, bytes]]) -> str:
    """Return the job id in the Location header of the response, or ""."""
    named = (JOB_PATH.fullmatch(value) for name, value in headers if name.lower() == b"location")
    return next((match[1].decode() for match in named if match), "")
