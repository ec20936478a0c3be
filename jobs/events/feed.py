"""What is pushed to the people whose sockets and event streams this process serves."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from channels.layers import get_channel_layer
from redis import RedisError
from redis.asyncio.client import PubSub

from accounts.people import Person
from jobs.backends import connections
from jobs.backends.cancellation import end
from jobs.events.schema import Frame

logger = logging.getLogger(__name__)

MOST_BYTES = 1024 * 1024  # that wait for one viewer; the longest answers have some tens of thousands
SILENCE_SECONDS = 10.0  # after which Redis is pinged, and after twice this given up
RECONNECT_SECONDS = 1.0


class Overflow(Exception):
    """More than MOST_BYTES waited: messages were dropped, and the viewer has to catch up or leave."""


class Ended(Exception):
    """The viewer has to leave."""


class Inbox:
    """The messages that wait for one viewer, at most MOST_BYTES."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self.waiting_bytes = 0
        self._has_overflowed = self._has_ended = False
        self._change = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Add a message, or note that there are too many."""
        self.waiting_bytes += len(data)
        if self.waiting_bytes > MOST_BYTES:
            self._waiting.clear()
            self.waiting_bytes, self._has_overflowed = 0, True
        else:
            self._waiting.append(data)
        self._change.set()

    def end(self) -> None:
        """Have `get` raise Ended from now on."""
        self._has_ended = True
        self._change.set()

    async def get(self) -> dict[str, Any]:
        """The next message that can be read. Raises Overflow once after messages were dropped, and Ended."""
        while True:
            if self._has_ended:
                raise Ended
            if self._has_overflowed:
                self._has_overflowed = False
                raise Overflow
            if self._waiting:
                data = self._waiting.popleft()
                self.waiting_bytes -= len(data)
                if message := _read(data):
                    return message
            else:
                self._change.clear()
                await self._change.wait()


class Feed:
    """Subscribes one Redis connection to the groups of the people who are here, and hands their messages out.

    What it is subscribed to is compared with who is here whenever somebody comes or goes, and all of it again after
    every reconnect: nobody has to leave in an orderly way. Without Redis viewers get no messages; they read the row.
    """

    def __init__(self) -> None:
        self._inboxes: dict[str, set[Inbox]] = {}  # by Redis channel
        self._subscribed: set[str] = set()
        self._pubsub: PubSub | None = None
        self._is_ready = asyncio.Event()  # connected, or known not to be
        self._settling = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def following(self, person: Person, inbox: Inbox) -> AsyncIterator[None]:
        """Put what is pushed to this person into the inbox while the block lasts."""
        channel = get_channel_layer().channel_of(person.group)
        self._inboxes.setdefault(channel, set()).add(inbox)
        try:
            if self._reader is None or self._reader.done():
                self._reader = asyncio.create_task(self._read())
            await self._is_ready.wait()
            await self._settle()
            yield
        finally:
            self._inboxes[channel].discard(inbox)
            if not self._inboxes[channel]:
                del self._inboxes[channel]
                self._tidy()

    async def close(self) -> None:
        """Close the connection."""
        for task in (self._tidying, self._reader):
            if task:
                await end(task)

    async def _read(self) -> None:
        async with connections.listening_redis() as redis:
            while True:
                try:
                    async with redis.pubsub() as pubsub:
                        await pubsub.connect()
                        self._pubsub, self._subscribed = pubsub, set()
                        self._is_ready.set()
                        await self._settle()
                        await self._deliver_from(pubsub)
                except Exception as error:  # also what two users of a connection that breaks may raise
                    logger.warning("no live events, Redis is away: %s", type(error).__name__)
                finally:
                    self._pubsub = None
                    self._is_ready.set()
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _deliver_from(self, pubsub: PubSub) -> None:
        """Hand messages out until the connection breaks, or nothing answers a ping."""
        is_silent = False
        while True:
            message = await pubsub.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                if is_silent:
                    raise ConnectionError("Redis does not answer")
                await pubsub.ping()
            elif message["type"] == "message":
                for inbox in self._inboxes.get(message["channel"].decode(errors="replace"), ()):
                    inbox.put(message["data"])
            is_silent = message is None

    async def _settle(self) -> None:
        """Subscribe to the groups of those who are here, unsubscribe from the others. Errors are the reader's."""
        async with self._settling:
            pubsub, subscribed, here = self._pubsub, self._subscribed, self._inboxes.keys()
            try:
                while pubsub and subscribed != here:
                    if missing := here - subscribed:
                        await pubsub.subscribe(*missing)
                        subscribed |= missing
                    if gone := subscribed - here:
                        await pubsub.unsubscribe(*gone)
                        subscribed -= gone
            except (RedisError, OSError):
                pass  # the reader meets it, too, and begins again

    def _tidy(self) -> None:
        """Settle soon, apart from whoever left: that task may just be being cancelled."""
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._settle())


def _read(data: bytes) -> dict[str, Any] | None:
    """The message; None for what is not ours or comes from another release."""
    try:
        message = get_channel_layer().deserialize(data)
        return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None
    except Exception:  # whatever its serializer raises for foreign bytes
        logger.warning("a pushed message of %d bytes cannot be read", len(data))
        return None


def frames_of(message: dict[str, Any]) -> list[Frame]:
    """The events in a message, without those that cannot be read."""
    found = []
    packed = message.get("frames")
    for item in packed if isinstance(packed, list) else ():
        try:
            found.append(Frame.unpack(item))
        except ValueError:
            logger.warning("a pushed event cannot be read")
    return found
