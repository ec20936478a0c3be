"""The WebSocket `/ws/jobs/`: sends the events of all jobs of a person, and takes resume, cancel and ping."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer

from accounts import sockets
from accounts.people import Person
from jobs import actions, disclosure
from jobs.backends.connections import Resources
from jobs.backends.db import AWAY
from jobs.events.schema import Frame, Place
from jobs.events.viewer import Viewer
from jobs.models import AiJob
from jobs.monitoring import metrics

MAX_FRAME_BYTES = 64 * 1024
FLOOD_MESSAGES = 60  # a page sends a few frames when it connects and a ping now and then
FLOOD_SECONDS = 10.0
REAUTHENTICATE_SECONDS = 300.0  # a socket that is used after this long is authenticated again
TOO_BIG, FLOODED, SIGNED_OUT = 4009, 4008, 4001  # close codes; Daphne lets an application use none below 3000 but 1000


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

    def __init__(self, resources: Resources) -> None:
        super().__init__()
        self._resources = resources

    async def __call__(self, *args: Any) -> None:
        """Serve one socket, from the handshake to its end."""
        with metrics.VIEWERS.labels("socket").track_inprogress():
            await super().__call__(*args)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Call this message's handler.

        Channels would first switch to the one thread that all consumers share, to close database connections that ours
        never open there: under load every event would wait for it.
        """
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        person = await self._resources.db.call(sockets.person_of, self.scope)
        if person is None:
            return await self.close()  # before accept: the handshake is answered with 403
        self.person = person
        self.viewer = Viewer(self._resources)
        self._window, self._received = time.monotonic(), 0
        self._trusted_until, self._has_left = time.monotonic() + REAUTHENTICATE_SECONDS, False
        await self.channel_layer.group_add(person.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "person"):
            await self.channel_layer.group_discard(self.person.group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Act on one client message. Oversize frames and floods close the socket, anything else wrong is told."""
        if len(bytes_data or b"") > MAX_FRAME_BYTES or len((text_data or "").encode()) > MAX_FRAME_BYTES:
            return await self.close(TOO_BIG)
        if self._is_flooded():
            return await self.close(FLOODED)
        if not await self._may_stay():
            return
        try:
            await self._act(_parse(text_data))
        except BadMessage as problem:
            await self.send(json.dumps(problem.body))

    async def job_events(self, message: dict[str, Any]) -> None:
        """Events that were pushed to the person's group."""
        if not await self._may_stay():
            return
        await self._show(await self.viewer.live(Frame.unpack(item) for item in message["frames"]), live=True)

    async def session_ended(self, message: dict[str, Any]) -> None:
        """Close the socket if it was opened with the session that has ended."""
        if message["session"] == sockets.session_of(self.scope):
            await self._sign_out()

    async def _may_stay(self) -> bool:
        """Whether the person who opened the socket may still use it. Closes it if not."""
        if not self._has_left and time.monotonic() > self._trusted_until:
            with contextlib.suppress(*AWAY):  # without a database nobody has signed out or been deactivated
                if not await self._resources.db.call(sockets.may_stay, self.scope, self.person):
                    await self._sign_out()
            self._trusted_until = time.monotonic() + REAUTHENTICATE_SECONDS
        return not self._has_left

    async def _sign_out(self) -> None:
        if not self._has_left:  # events may come until the socket is really closed
            self._has_left = True
            await self.close(SIGNED_OUT)

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
