"""The events of running attempts on their way out: batched, in order, and kept while Redis is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from weakref import WeakSet

from redis import RedisError
from redis.asyncio import Redis

from jobs.backends.cancellation import end
from jobs.backends.faults import Faults
from jobs.events import publish
from jobs.events.publish import Batch
from jobs.events.schema import Delta, Event, Frame, Place, frame
from jobs.models import AiJob

logger = logging.getLogger(__name__)

# Seconds between two deltas of one answer, and how many deltas of all answers a process sends in a second: each costs
# the worker, Redis and the web server the same, however long its text is.
SHORTEST_BEAT, LONGEST_BEAT, DELTAS_PER_SECOND = 0.1, 0.3, 500
BATCH_CHARS = 200
PUBLISH_SECONDS = 0.04  # between two publications of a process: what is added meanwhile goes out together
CLOSE_SECONDS = 3.0
RECONNECT_SECONDS = 0.5


class Batcher:
    """Takes the events of one attempt without ever waiting; the process's Sender publishes them.

    The first piece of text goes out at once; pieces that follow soon after are joined. All events are kept until the
    attempt ends, so that a Redis that came back empty is filled again. `overtaken`: a newer attempt publishes now.
    """

    def __init__(self, job: AiJob, sender: Sender) -> None:
        self.overtaken = False
        self.job = job
        self._frames: list[Frame] = []
        self._sent = 0
        self._text: list[str] = []
        self._flushed_at = -LONGEST_BEAT
        self._timer: asyncio.TimerHandle | None = None
        self._sender = sender
        sender.open.add(self)
        self._all_sent = asyncio.Event()

    def add(self, event: Event) -> None:
        """Queue an event, behind the text that was added before it."""
        self._flush_text()
        place = Place(self.job.attempt, len(self._frames) + 1)
        self._frames.append(frame(self.job, place, event))
        self._all_sent.clear()
        self._sender.wake(self)

    def add_text(self, text: str) -> None:
        """Queue a piece of the answer."""
        self._text.append(text)
        loop = asyncio.get_running_loop()
        left = self._flushed_at + self._sender.beat - loop.time()
        if left <= 0 or sum(map(len, self._text)) >= BATCH_CHARS:
            self._flush_text()
        elif self._timer is None:
            self._timer = loop.call_later(left, self._flush_text)

    async def close(self) -> None:
        """Wait up to CLOSE_SECONDS until all is published: viewers also learn the end from the row."""
        self._flush_text()
        self._sender.open.discard(self)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._all_sent.wait()
        except TimeoutError:
            logger.warning("job %s: the last events have not reached Redis yet", self.job.pk)
        else:
            logger.info("job %s: %d events pushed to its viewers", self.job.pk, self._sent)

    def unsent(self) -> Batch:
        """The events to publish next."""
        return Batch(self.job, self._frames[self._sent :])

    async def is_kept(self, redis: Redis, batch: Batch, kept: int) -> bool:
        """Whether the stream holds this batch, given how many events it holds. Fills in those that Redis lost."""
        upto = self._sent + len(batch.frames)
        if kept == upto:
            return True
        # Refused, too: by a command that the Redis client repeated, or by a newer attempt.
        self.overtaken = not await publish.rewrite(redis, self.job, self._frames[:upto])
        return not self.overtaken

    def drop(self) -> None:
        """Publish nothing more of this attempt: its text was deleted, or cannot be published."""
        self.overtaken = True
        self._all_sent.set()

    def note_sent(self, batch: Batch) -> None:
        """Mark this batch as published."""
        self._sent += len(batch.frames)
        if self._sent == len(self._frames) or self.overtaken:
            self._all_sent.set()

    def _flush_text(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._text:
            text = "".join(self._text)
            self._text.clear()
            self._flushed_at = asyncio.get_running_loop().time()
            self.add(Delta(text=text))


class Sender:
    """Publishes the events of all batchers of a process together, in two round trips.

    It pauses after each publication, so that the busier a worker is, the less each event costs.
    """

    def __init__(self, redis: Redis, faults: Faults) -> None:
        self.open: WeakSet[Batcher] = WeakSet()  # of the attempts under way
        self._redis = redis
        self._faults = faults
        self._waiting: set[Batcher] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def beat(self) -> float:
        """Seconds between two deltas of one answer: the more attempts are under way, the longer."""
        return min(LONGEST_BEAT, max(SHORTEST_BEAT, len(self.open) / DELTAS_PER_SECOND))

    def wake(self, batcher: Batcher) -> None:
        """Publish the events of this batcher with the next publication."""
        self._waiting.add(batcher)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send())

    async def close(self) -> None:
        """End the background task. Batchers must be closed: their events are sent or given up."""
        if self._task:
            await end(self._task)

    async def _send(self) -> None:
        while batchers := [batcher for batcher in self._waiting if not batcher.overtaken]:
            self._waiting.clear()
            try:
                await self._publish(batchers)
                await asyncio.sleep(PUBLISH_SECONDS)
            except (RedisError, OSError) as error:
                logger.warning("events of %d jobs wait, Redis is away: %s", len(batchers), type(error).__name__)
                self._waiting.update(batchers)
                await asyncio.sleep(RECONNECT_SECONDS)
            except Exception as error:
                self._faults.note("send", error)
                await self._publish_each(batchers)

    async def _publish_each(self, batchers: Sequence[Batcher]) -> None:
        """Publish them one by one, after a failure of all: one that cannot be published is given up."""
        for batcher in batchers:
            try:
                await self._publish([batcher])
            except (RedisError, OSError):
                self._waiting.add(batcher)
            except Exception as error:
                self._faults.note("send", error, batcher.job.pk)
                batcher.drop()

    async def _publish(self, batchers: Sequence[Batcher]) -> None:
        batches = [batcher.unsent() for batcher in batchers]
        kept = await publish.append(self._redis, batches)
        each = list(zip(batchers, batches, kept, strict=True))
        await publish.push([batch for one, batch, count in each if await one.is_kept(self._redis, batch, count)])
        for batcher, batch, _ in each:
            batcher.note_sent(batch)
