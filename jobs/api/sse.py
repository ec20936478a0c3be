"""A job's events as server-sent events, for clients without a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from accounts import sockets
from accounts.sockets import Pass
from jobs.api.viewers import Opened, Viewers
from jobs.events import feed
from jobs.events.feed import Ended, Inbox, Overflow
from jobs.events.schema import Frame, Place
from jobs.events.viewer import Viewer
from jobs.models import AiJob
from jobs.monitoring import metrics

SILENCE_SECONDS = 10.0  # after it the row is read: the last event may have been lost
KEEP_ALIVE = ": still here\n\n"
RETRY = "retry: 1000\n\n"  # milliseconds until a browser reconnects


async def stream(job: AiJob, after: Place, viewers: Viewers, allowed: Pass, network: str) -> AsyncGenerator[str]:
    """The events after this place, live ones as they come, until the job has ended, or `allowed` is no longer valid."""
    viewer, inbox, session = Viewer(viewers.resources), Inbox(), sockets.fingerprint(allowed.session)
    opened = Opened("stream", allowed, network, lambda why: inbox.end())
    yield RETRY  # the headers go out with the first piece, and a pending job may be silent for long
    with viewers.counting(opened):
        async with viewers.feed.following(job.person, inbox):
            frames, is_live = await viewer.resume(job, after), False
            while True:
                for item in frames:
                    yield _format(item)
                metrics.sent("stream", frames, live=is_live)
                if job.is_final or any(item.is_final for item in frames):
                    return
                try:
                    async with asyncio.timeout(SILENCE_SECONDS):
                        message = await inbox.get()
                except Ended:
                    return
                except (TimeoutError, Overflow):
                    yield KEEP_ALIVE
                    try:
                        await viewers.resources.db.call(job.refresh_from_db)
                    except AiJob.DoesNotExist:  # deleted, with its person for instance
                        return
                    frames, is_live = await viewer.resume(job, viewer.place(str(job.pk))), False
                else:
                    if message["type"] == "session.ended" and message.get("session") == session:
                        return
                    pushed = [item for item in feed.frames_of(message) if item.job_id == str(job.pk)]
                    frames, is_live = await viewer.live(pushed), True


def _format(item: Frame) -> str:
    return f"id: {item.place}\ndata: {item.text}\n\n"
