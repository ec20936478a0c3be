"""The open sockets and event streams of this web process: how many there may be, and which have to end."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from django.conf import settings

from accounts import sockets
from accounts.people import Person
from accounts.sockets import Pass
from jobs.backends.cancellation import end
from jobs.backends.connections import Resources
from jobs.events.feed import Feed
from jobs.monitoring import metrics
from jobs.monitoring.metrics import Transport

logger = logging.getLogger(__name__)

CHECK_SECONDS = 15.0  # between two checks of all: whoever was switched off is gone within 30 seconds


class Full(Exception):
    """No more may be opened now: by this person or network (`by_person`), or in this process."""

    def __init__(self, *, by_person: bool) -> None:
        super().__init__("too many sockets and event streams are open")
        self.by_person = by_person


class Opened:
    """One open socket or event stream. `end` is called with why it has to end: "replaced" or "signed out"."""

    def __init__(self, transport: Transport, allowed: Pass, network: str, end: Callable[[str], None]) -> None:
        self.transport = transport
        self.allowed = allowed
        self.network = network
        self.end = end

    @property
    def keys(self) -> list[Hashable]:
        """What it counts towards. Anybody can be many visitors, so these are counted by network, too."""
        person = self.allowed.person
        return [(self.transport, person), *([] if person.user_id is not None else [self.network])]


class Viewers:
    """Everything that is open in this process, and what all of it shares."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.feed = Feed()
        self._most = settings.SOCKETS_PER_PROCESS or half_of_the_descriptors()
        self._open: set[Opened] = set()
        self._counted: defaultdict[Hashable, list[Opened]] = defaultdict(list)  # the oldest first
        self._checking: asyncio.Task[None] | None = None

    def check_room(self) -> None:
        """Raise Full when this process may open no more."""
        if len(self._open) >= self._most:
            logger.warning("%d sockets and event streams are open: no more than SOCKETS_PER_PROCESS", len(self._open))
            raise Full(by_person=False)

    def check_room_for_stream(self, person: Person, network: str) -> None:
        """Raise Full when no event stream may be opened for this person."""
        self.check_room()
        of_person, of_network = len(self._counted.get(("stream", person), ())), len(self._counted.get(network, ()))
        is_visitor = person.user_id is None
        if of_person >= settings.SOCKETS_PER_PERSON or (is_visitor and of_network >= settings.SOCKETS_PER_NETWORK):
            raise Full(by_person=True)

    @contextmanager
    def counting(self, opened: Opened) -> Iterator[None]:
        """Count it while the block lasts. Of a person's sockets the oldest ends if this is one too many.

        Raises Full when the process, or a visitor's network, has too many. Streams have been refused before.
        """
        if opened.transport == "socket":
            self.check_room()
            if len(self._counted.get(opened.network, ())) >= settings.SOCKETS_PER_NETWORK and len(opened.keys) > 1:
                raise Full(by_person=True)
        self._open.add(opened)
        for key in opened.keys:
            self._counted[key].append(opened)
        try:
            if opened.transport == "socket":
                self._end_oldest(self._counted["socket", opened.allowed.person])
            if self._checking is None or self._checking.done():
                self._checking = asyncio.create_task(self._keep_checking())
            with metrics.VIEWERS.labels(opened.transport).track_inprogress():
                yield
        finally:
            self._open.discard(opened)
            for key in opened.keys:
                self._remove(key, opened)

    async def check(self) -> None:
        """End what was opened with a session, a password or an account that is no longer valid."""
        opened = list(self._open)
        valid = await self.resources.db.call(sockets.still_valid, {each.allowed for each in opened})
        for each in opened:
            if each.allowed not in valid:
                each.end("signed out")

    async def close(self) -> None:
        """End the background tasks."""
        await self.feed.close()
        if self._checking:
            await end(self._checking)

    async def _keep_checking(self) -> None:
        while self._open:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self.check()
            except Exception as error:  # without a database nobody is known to have left; the next time counts
                logger.warning("who may stay cannot be checked: %s", type(error).__name__)

    def _end_oldest(self, own: list[Opened]) -> None:
        while len(own) > settings.SOCKETS_PER_PERSON:
            own.pop(0).end("replaced")

    def _remove(self, key: Hashable, opened: Opened) -> None:
        if opened in self._counted[key]:
            self._counted[key].remove(opened)
        if not self._counted[key]:
            del self._counted[key]


def half_of_the_descriptors() -> int:
    """Half of the descriptors that this process may open: the others are for pages, Postgres and Redis."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
