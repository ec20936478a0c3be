"""The events of runs on their way out: batched, in order, and patient with a Redis that is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from weakref import WeakKeyDictionary, WeakSet

from redis import RedisError

from jobs.events import publish
from jobs.events.publish import Batch
from jobs.events.schema import Delta, Event, Frame, Place, frame
from jobs.models import AiJob

logger = logging.getLogger(__name__)

# Seconds between two deltas of one answer, and how many of all answers together a process sends in one second: each
# costs the worker, Redis and the web server the same, however long it is.
SHORTEST_BEAT, LONGEST_BEAT, DELTAS_PER_SECOND = 0.1, 0.3, 500
BATCH_CHARS = 200
PACE_SECONDS = 0.04  # between two publications of a process: what comes meanwhile goes out together
CLOSE_SECONDS = 3.0
PAUSE_SECONDS = 0.5


class Outbox:
    """Takes the events of one run without ever waiting; the sender of the event loop publishes them.

    A piece of text goes out at once, those that follow soon after go together. All events are kept until the run ends,
    so that a Redis that came back empty is filled again. `overtaken` tells that a newer attempt publishes now.
    """

    def __init__(self, job: AiJob) -> None:
        self.overtaken = False
        self._job = job
        self._frames: list[Frame] = []
        self._sent = 0
        self._text: list[str] = []
        self._flushed_at = -LONGEST_BEAT
        self._timer: asyncio.TimerHandle | None = None
        self._sender = _sender()
        self._sender.outboxes.add(self)
        self._all_sent = asyncio.Event()

    def add(self, event: Event) -> None:
        """Queue an event, behind the text that came before it."""
        self._flush_text()
        place = Place(self._job.attempt, len(self._frames) + 1)
        self._frames.append(frame(self._job, place, event))
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
        """Wait until all is published, but not for long: viewers also learn the end from the row."""
        self._flush_text()
        self._sender.outboxes.discard(self)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._all_sent.wait()
        except TimeoutError:
            logger.warning("job %s: the last events have not reached Redis yet", self._job.pk)
        else:
            logger.info("job %s: %d events pushed to its viewers", self._job.pk, self._sent)

    def unsent(self) -> Batch:
        """The events to publish next."""
        return Batch(self._job, self._frames[self._sent :])

    async def is_kept(self, batch: Batch, kept: int) -> bool:
        """Whether this batch is in the stream, given how many events that holds. Fills in those that Redis lost."""
        upto = self._sent + len(batch.frames)
        if kept == upto:
            return True
        # Also when refused: a command that the Redis client has repeated, or a newer attempt.
        self.overtaken = not await publish.rewrite(self._job, self._frames[:upto])
        return not self.overtaken

    def note_sent(self, batch: Batch) -> None:
        """This batch needs no more publishing."""
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
    """Publishes what the outboxes of one event loop hold: all of them together, in two round trips.

    It pauses for a moment after each time, so that the busier a worker is, the less each event costs.
    """

    def __init__(self) -> None:
        self.outboxes: WeakSet[Outbox] = WeakSet()  # of the runs under way
        self._waiting: set[Outbox] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def beat(self) -> float:
        """Seconds between two deltas of one answer: the more runs are under way, the longer."""
        return min(LONGEST_BEAT, max(SHORTEST_BEAT, len(self.outboxes) / DELTAS_PER_SECOND))

    def wake(self, outbox: Outbox) -> None:
        """Publish the events of this outbox soon."""
        self._waiting.add(outbox)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while outboxes := [outbox for outbox in self._waiting if not outbox.overtaken]:
            self._waiting.clear()
            try:
                await self._publish(outboxes)
                await asyncio.sleep(PACE_SECONDS)
            except (RedisError, OSError) as error:
                logger.warning("events of %d jobs wait, Redis is away: %s", len(outboxes), type(error).__name__)
                self._waiting.update(outboxes)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _publish(self, outboxes: Sequence[Outbox]) -> None:
        batches = [outbox.unsent() for outbox in outboxes]
        kept = await publish.append(batches)
        each = list(zip(outboxes, batches, kept, strict=True))
        await publish.push([batch for outbox, batch, count in each if await outbox.is_kept(batch, count)])
        for outbox, batch, _ in each:
            outbox.note_sent(batch)


_senders: WeakKeyDictionary[asyncio.AbstractEventLoop, Sender] = WeakKeyDictionary()


def _sender() -> Sender:
    return _senders.setdefault(asyncio.get_running_loop(), Sender())
