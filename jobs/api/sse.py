"""A job's events as server-sent events, for clients without a WebSocket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from channels.layers import get_channel_layer
from redis import RedisError

from jobs.backends.cancellation import end
from jobs.backends.connections import Resources
from jobs.events.schema import Frame, Place
from jobs.events.viewer import Viewer
from jobs.models import AiJob
from jobs.monitoring import metrics

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 10.0  # after it the row is read: the last event may have been lost
KEEP_ALIVE = ": still here\n\n"
RETRY = "retry: 1000\n\n"  # milliseconds until a browser reconnects


async def stream(job: AiJob, after: Place, resources: Resources) -> AsyncIterator[str]:
    """The events after this place, live ones as they come, until the job has ended."""
    viewer, live = Viewer(resources), False
    yield RETRY  # the headers go out with the first piece, and a pending job may be silent for long
    async with _pushed_to(job) as pushed:
        frames = await viewer.resume(job, after)
        while True:
            for item in frames:
                yield _format(item)
            metrics.sent("stream", frames, live=live)
            if job.is_final or any(item.is_final for item in frames):
                return
            try:
                frames = await viewer.live(await asyncio.wait_for(pushed.get(), SILENCE_SECONDS))
                live = True
            except TimeoutError:
                yield KEEP_ALIVE
                await resources.db.call(job.refresh_from_db)
                frames = await viewer.resume(job, viewer.place(str(job.pk)))
                live = False


@asynccontextmanager
async def _pushed_to(job: AiJob) -> AsyncIterator[asyncio.Queue[list[Frame]]]:
    """The frames about this job that are pushed to its person while the block lasts."""
    queue: asyncio.Queue[list[Frame]] = asyncio.Queue()
    is_listening = asyncio.Event()
    listener = asyncio.create_task(_listen(job, queue, is_listening))
    try:
        # Without Redis there is nothing to wait for: the row tells the end.
        await asyncio.wait({asyncio.create_task(is_listening.wait()), listener}, return_when=asyncio.FIRST_COMPLETED)
        with metrics.VIEWERS.labels("stream").track_inprogress():
            yield queue
    finally:
        await end(listener)


async def _listen(job: AiJob, queue: asyncio.Queue[list[Frame]], is_listening: asyncio.Event) -> None:
    # A task of its own: a cancelled receive() makes the channel layer drop the channel.
    layer = get_channel_layer()
    channel = None
    try:
        channel = await layer.new_channel()
        await layer.group_add(job.person.group, channel)
        is_listening.set()
        while True:
            message = await layer.receive(channel)
            frames = [Frame.unpack(item) for item in message.get("frames", ())]  # session.ended is for sockets
            queue.put_nowait([item for item in frames if item.job_id == str(job.pk)])
    except (RedisError, OSError) as error:
        logger.warning("job %s: no live events, Redis is away: %s", job.pk, type(error).__name__)
    finally:
        if channel:
            await layer.group_discard(job.person.group, channel)


def _format(item: Frame) -> str:
    return f"id: {item.place}\ndata: {item.text}\n\n"
