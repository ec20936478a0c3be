"""The events of one run on their way out: batched, in order, and patient with a Redis that is away."""

from __future__ import annotations

import asyncio
import logging

from redis import RedisError, ResponseError

from jobs import events
from jobs.event_types import Delta, Event, Frame, Place, frame
from jobs.models import AiJob

logger = logging.getLogger(__name__)

BATCH_SECONDS = 0.08
BATCH_CHARS = 200
CLOSE_SECONDS = 3.0
PAUSE_SECONDS = 0.5


class Outbox:
    """Takes events without ever waiting; a task of its own publishes them.

    The first piece of text goes out at once, later ones together. All events are kept until the run ends, so
    that a Redis that came back empty is filled again. `overtaken` tells that a newer attempt publishes now.
    """

    def __init__(self, job: AiJob) -> None:
        self.overtaken = False
        self._job = job
        self._frames: list[Frame] = []
        self._sent = 0
        self._text: list[str] = []
        self._text_length = 0
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._closing = False
        self._sender = asyncio.create_task(self._send())

    def add(self, event: Event) -> None:
        """Queue an event, behind the text that came before it."""
        self._flush_text()
        place = Place(self._job.attempt, len(self._frames) + 1)
        self._frames.append(frame(self._job, place, event))
        self._wake.set()

    def add_text(self, text: str) -> None:
        """Queue a piece of the answer."""
        is_first = not self._text_length
        self._text.append(text)
        self._text_length += len(text)
        if is_first or sum(map(len, self._text)) >= BATCH_CHARS:
            self._flush_text()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self._flush_text)

    async def close(self) -> None:
        """Publish what is left. Gives up after a while: viewers then learn the end from the row."""
        self._flush_text()
        self._closing = True
        self._wake.set()
        done, _ = await asyncio.wait({self._sender}, timeout=CLOSE_SECONDS)
        if not done:
            self._sender.cancel()
            logger.warning("job %s: the last events did not reach Redis", self._job.pk)
        else:
            logger.info("job %s: %d events pushed to its viewers", self._job.pk, self._sent)

    def _flush_text(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._text:
            text = "".join(self._text)
            self._text.clear()
            self.add(Delta(text=text))

    async def _send(self) -> None:
        while not self.overtaken:
            if self._sent == len(self._frames):
                if self._closing:
                    return
                await self._wake.wait()
            self._wake.clear()
            try:
                await self._publish(self._frames[self._sent :])
            except (RedisError, OSError) as error:
                logger.warning("job %s: Redis is away, events wait: %s", self._job.pk, type(error).__name__)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _publish(self, batch: list[Frame]) -> None:
        if not batch:
            return
        upto = self._sent + len(batch)
        try:
            kept = await events.append(self._job, batch)
        except ResponseError:  # a command repeated by the Redis client, or a newer attempt
            kept = -1
        if kept != upto and not await events.rewrite(self._job, self._frames[:upto]):
            self.overtaken = True
            return
        await events.push(self._job, batch)
        self._sent = upto
