"""The WebSocket `/ws/jobs/`: sends the events of all jobs of a person, and takes resume, cancel and ping."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any
from uuid import UUID

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.utils import await_many_dispatch

from accounts import sockets
from accounts.people import Person
from config.http.access import TRY_LATER
from jobs import actions, disclosure
from jobs.api.viewers import Full, Opened, Viewers
from jobs.events import feed
from jobs.events.feed import Inbox, Overflow
from jobs.events.schema import Frame, Place
from jobs.events.viewer import Viewer
from jobs.models import AiJob
from jobs.monitoring import metrics

MAX_FRAME_BYTES = 64 * 1024
FLOOD_MESSAGES = 60  # a page sends a few frames when it connects and a ping now and then
FLOOD_SECONDS = 10.0
# Close codes. Daphne lets an application use none below 3000 but 1000.
SIGNED_OUT = 4001
TOO_MANY = 4008  # sockets of this person, so that the oldest is closed; or messages from this one
TOO_MUCH = 4009  # waits to be read by this client; or one of its frames is too long
CODES = {"signed out": SIGNED_OUT, "replaced": TOO_MANY}


class BadMessage(Exception):
    """The client sent something that cannot be acted on; it is told why and the socket stays open."""

    def __init__(self, code: str, message: str, job_id: str | None = None) -> None:
        super().__init__(message)
        self.body = {"type": "error", "error": {"code": code, "message": message}}
        if job_id:
            self.body["jobId"] = job_id


class UnknownPath(AsyncWebsocketConsumer):
    """Refuses the handshake on any other path."""

    async def connect(self) -> None:
        await self.close()


class JobsConsumer(AsyncWebsocketConsumer):
    """One socket of one person."""

    person: Person

    def __init__(self, viewers: Viewers) -> None:
        super().__init__()
        self._viewers = viewers
        self._resources = viewers.resources
        self._inbox = Inbox()
        self._exit = AsyncExitStack()  # what has to be undone, however the socket ends
        self._has_left = False
        self._closing: asyncio.Task[None] | None = None

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Serve one socket, from the handshake to its end.

        Not as Channels does it: its consumers subscribe to a Redis channel of their own, which is left behind when they
        are cancelled, and switch to one thread that all share before each message, to close database connections that
        ours never open there.
        """
        self.scope, self.base_send = scope, send
        async with self._exit:
            with suppress(StopConsumer):
                await await_many_dispatch([receive, self._pushed], self.dispatch)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Act on what the client or the server did, or what was pushed."""
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.receive":
                await self.receive(message.get("text"), message.get("bytes"))
            case "websocket.disconnect":
                raise StopConsumer
            case "pushed":
                await self._on_pushed(message["message"])

    async def connect(self) -> None:
        """Accept the socket, or refuse the handshake."""
        try:
            self._viewers.check_room()
            allowed = await self._resources.db.call(sockets.pass_of, self.scope)
            if allowed is None:
                return await self.close()  # before accept: the handshake is answered with 403
            opened = Opened("socket", allowed, sockets.network_of(self.scope), self._end)
            self._exit.enter_context(self._viewers.counting(opened))
        except Full as full:
            return await self.close() if full.by_person else await self.close(TRY_LATER)
        self.person = allowed.person
        self._session = sockets.fingerprint(allowed.session)
        self.viewer = Viewer(self._resources)
        self._window, self._received = time.monotonic(), 0
        await self._exit.enter_async_context(self._viewers.feed.following(self.person, self._inbox))
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Act on one client message. Oversize frames and floods close the socket, anything else wrong is told."""
        if len(bytes_data or b"") > MAX_FRAME_BYTES or len((text_data or "").encode()) > MAX_FRAME_BYTES:
            return await self._leave(TOO_MUCH)
        if self._is_flooded():
            return await self._leave(TOO_MANY)
        if self._has_left:
            return
        try:
            await self._act(_parse(text_data))
        except BadMessage as problem:
            await self.send(json.dumps(problem.body))

    async def _pushed(self) -> dict[str, Any]:
        try:
            return {"type": "pushed", "message": await self._inbox.get()}
        except Overflow:
            return {"type": "pushed", "message": {"type": "overflow"}}

    async def _on_pushed(self, message: dict[str, Any]) -> None:
        """Show events that were pushed to the person's group; leave when the session has ended."""
        if self._has_left:
            return
        match message["type"]:
            case "job.events":
                await self._show(await self.viewer.live(feed.frames_of(message)), live=True)
            case "session.ended" if message.get("session") == self._session:
                await self._leave(SIGNED_OUT)
            case "overflow":
                await self._leave(TOO_MUCH)

    def _end(self, why: str) -> None:
        # Not from the loop of messages: a socket whose client does not read waits there.
        self._closing = asyncio.create_task(self._leave(CODES[why]))

    async def _leave(self, code: int) -> None:
        if not self._has_left:  # messages may come until the socket is really closed
            self._has_left = True
            await self.close(code)

    async def _act(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "ping":
                await self.send('{"type": "pong"}')
            case "resume":
                job = await self._job(message)
                may_read = job.belongs_to(self.person)  # as nearly always: no query then
                if not (may_read or await self._resources.db.call(disclosure.open_job, self.person, job)):
                    raise BadMessage("forbidden", "Reading other people's answers takes a permission.", str(job.pk))
                await self._show(await self.viewer.resume(job, _place(message)))
            case "cancel":
                job = await self._job(message)
                if await self._resources.db.call(_cancel, self.person, job) is None:
                    raise BadMessage("already_ended", "This job has already ended.", str(job.pk))
            case _:
                raise BadMessage("unknown_type", "Known types are resume, cancel and ping.")

    async def _show(self, frames: Sequence[Frame], *, live: bool = False) -> None:
        for item in frames:
            if self._has_left:
                return
            await self.send(item.text)
        metrics.sent("socket", frames, live=live)

    async def _job(self, message: dict[str, Any]) -> AiJob:
        try:
            job_id = UUID(message["jobId"])
            return await self._resources.db.call(lambda: AiJob.objects.visible_to(self.person).get(pk=job_id))
        except (KeyError, ValueError, AttributeError, TypeError, AiJob.DoesNotExist):
            raise BadMessage("not_found", "There is no such job.", str(message.get("jobId"))[:64]) from None

    def _is_flooded(self) -> bool:
        now = time.monotonic()
        if now - self._window > FLOOD_SECONDS:
            self._window, self._received = now, 0
        self._received += 1
        return self._received > FLOOD_MESSAGES


def _cancel(person: Person, job: AiJob) -> AiJob | None:
    try:
        return actions.cancel(job, disclosure.acting(person, job, "socket"))
    except disclosure.NotAllowed:
        text = "Acting on other people's jobs takes a permission of its own."
        raise BadMessage("forbidden", text, str(job.pk)) from None


def _parse(text: str | None) -> dict[str, Any]:
    try:
        message = json.loads(text or "")
    except (ValueError, RecursionError):
        raise BadMessage("invalid", "A message is one JSON object in a text frame.") from None
    if not isinstance(message, dict):
        raise BadMessage("invalid", "A message is one JSON object in a text frame.")
    return message


def _place(message: dict[str, Any]) -> Place:
    after = message.get("after", {"attempt": 0, "seq": 0})
    try:
        return Place.of(after["attempt"], after["seq"])
    except (KeyError, TypeError, ValueError):
        raise BadMessage("invalid", "`after` has to be {attempt, seq}, two whole numbers.") from None
