"""Daphne with bounds: what waits for a client that does not read, and what waits from one that sends too much.

Daphne hands everything to Twisted's transport, which keeps what the client does not read in memory, without a bound.
Here an application that sends more than the transport takes waits until the client has read it, and a client that reads
nothing for STALLED_SECONDS is disconnected. (An `ssl:` endpoint has another transport and keeps Daphne's behaviour.)
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import suppress
from typing import Any, cast

from autobahn.websocket.types import ConnectionDeny
from daphne.http_protocol import WebRequest
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor

from config.http.access import TRY_LATER

logger = logging.getLogger(__name__)

STALLED_SECONDS = 20.0
UNACKNOWLEDGED_MS = 30_000  # for what the operating system holds: of a client that vanished, or that does not read it
SHORTEST_LOOK, LONGEST_LOOK = 0.002, 0.1  # seconds between two looks at a transport that is full
MOST_UNREAD_BYTES = 256 * 1024  # from one client, while the application is busy with what it sent before
MOST_MESSAGE_BYTES = 128 * 1024  # the application closes sockets for less


class BoundedServer(Server):
    """Daphne's server with these bounds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        bounds = {"websocket_max_message_size": MOST_MESSAGE_BYTES, "websocket_max_frame_size": MOST_MESSAGE_BYTES}
        super().__init__(*args, **{**kwargs, **bounds})

    def run(self) -> None:
        """Serve until stopped."""
        reactor.callWhenRunning(self._bound_sockets)
        super().run()

    def _bound_sockets(self) -> None:
        self.ws_factory.protocol = BoundedWebSocket

    def protocol_connected(self, protocol: WebRequest | WebSocketProtocol) -> None:
        """Have the operating system give a connection up whose client takes nothing; by default after 15 minutes."""
        super().protocol_connected(protocol)
        with suppress(AttributeError, OSError):  # macOS does not know it, and Unix sockets do not have it
            cast(Any, protocol.transport).getHandle().setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS
            )

    async def handle_reply(self, protocol: WebRequest | WebSocketProtocol, message: dict[str, Any]) -> None:
        """Send what the application sends; return when the client may be sent more."""
        await super().handle_reply(protocol, message)
        if message["type"] == "websocket.send" or (message.get("more_body") and _is_stream(protocol)):
            await self._drained(protocol)

    async def _drained(self, protocol: Any) -> None:
        transport, waiting, since, look = protocol.transport, -1, time.monotonic(), SHORTEST_LOOK
        # The transport pauses its producer at 64 KiB, and resumes it when all of that is with the operating system.
        while getattr(transport, "producerPaused", False) and self._is_open(protocol):
            now, left = time.monotonic(), len(transport.dataBuffer) - transport.offset
            if left != waiting:
                waiting, since = left, now
            elif now - since > STALLED_SECONDS:
                logger.info("a client that reads nothing is disconnected: %r", protocol)
                return transport.abortConnection()
            await asyncio.sleep(look)
            look = min(2 * look, LONGEST_LOOK)

    def _is_open(self, protocol: WebRequest | WebSocketProtocol) -> bool:
        if isinstance(protocol, WebSocketProtocol) and protocol.state != WebSocketProtocol.STATE_OPEN:
            return False  # closing: autobahn drops the connection soon, whatever waits
        return protocol in self.connections and "disconnected" not in self.connections[protocol]


def _is_stream(response: Any) -> bool:
    """Whether its length is open. Other responses are whole already: they wait in the transport, while their
    database connection goes back to the pool; Twisted disconnects a client that has not read one after 75 seconds.
    """
    return not response.responseHeaders.hasHeader(b"content-length")


class _Reading:
    """A push producer of Twisted's: reads from the client only while that reads, too. Pings, for one, are answered."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def pauseProducing(self) -> None:
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._transport.resumeProducing()

    def stopProducing(self) -> None:
        pass  # the connection is lost


class BoundedWebSocket(WebSocketProtocol):
    """One socket."""

    def onConnect(self, request: Any) -> Any:
        """Begin the handshake."""
        self._unread, transport = 0, cast(Any, self.transport)
        transport.unregisterProducer()  # the HTTP channel: it would go on reading
        transport.registerProducer(_Reading(transport), True)
        return super().onConnect(request)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand a frame to the application, unless too much waits for it already."""
        if self.application_queue.empty():
            self._unread = 0
        self._unread += len(payload)
        if self._unread > MOST_UNREAD_BYTES:
            logger.info("a client that sends faster than it is served is disconnected: %r", self)
            return cast(Any, self.transport).abortConnection()
        super().onMessage(payload, isBinary)

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Send what the application sends; a handshake that it refuses with TRY_LATER is answered with 503."""
        is_refused = message["type"] == "websocket.close" and self.state == self.STATE_CONNECTING
        if is_refused and message.get("code") == TRY_LATER:
            self.handshake_deferred.errback(ConnectionDeny(503, "Service Unavailable"))
            del self.handshake_deferred
            return self.server.protocol_disconnected(self)
        super().handle_reply(message)
