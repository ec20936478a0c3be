"""The outermost ASGI application: gives every request an id, and writes a log line about each."""

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
CLIENT_CLOSED_REQUEST = 499  # the usual number for a client that did not wait for the answer
QUIET_PATHS = {"/healthz", "/readyz", "/metrics"}  # asked for all day long by machines


class Access:
    """Wraps an ASGI application. An X-Request-ID that comes with the request is kept if it is harmless."""

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
    """One request or socket, and what came of it."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._began = time.perf_counter()
        self.status = 0
        self.job_id = ""  # of the job that was submitted, cancelled or run again

    async def send(self, message: Message) -> None:
        """Send what the application answers, and the request's id with it."""
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
                headers = [*message.get("headers", [])]
                self.job_id = _job_of(headers)
                message["headers"] = [*headers, (REQUEST_ID_HEADER, logs.request_id().encode())]
            case "websocket.accept":
                self.status = 101
            case "websocket.close" if not self.status:
                self.status = 403
        await self._send(message)

    def log(self) -> None:
        """The line, without the query string: it may hold a ticket."""
        fields = {
            "method": self._scope.get("method", "WEBSOCKET"),
            "path": quote(self._scope["path"]),
            "status": self.status or CLIENT_CLOSED_REQUEST,
            "duration_ms": round((time.perf_counter() - self._began) * 1000),
            "client": (self._scope.get("client") or [""])[0],
            **({"job_id": self.job_id} if self.job_id else {}),
        }
        level = logging.DEBUG if self._scope["path"] in QUIET_PATHS else logging.INFO
        logger.log(level, "%(method)s %(path)s %(status)s", fields, extra=fields)


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(REQUEST_ID_HEADER, b"")
    return given.decode() if SAFE_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _job_of(headers: list[tuple[bytes, bytes]]) -> str:
    """The job that the answer's Location names, if it names one."""
    named = (JOB_PATH.fullmatch(value) for name, value in headers if name.lower() == b"location")
    return next((match[1].decode() for match in named if match), "")
