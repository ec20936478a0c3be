"""The only module that publishes events, and where they are kept for viewers who missed some.

Every event goes to the job's Redis stream under the id "attempt-seq", so that Redis itself refuses what a late
attempt says after a newer one has begun, and then to the person's Channels group. Redis may lose both at any moment:
an attempt keeps its own events and writes them again, and when it has ended the row in Postgres is enough.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

from channels.layers import get_channel_layer
from django.conf import settings
from redis import RedisError, ResponseError
from redis.asyncio import Redis

from accounts.people import Person
from jobs.backends import connections
from jobs.events.schema import START, Event, Frame, Place, frame
from jobs.models import AiJob

logger = logging.getLogger(__name__)

REFUSED = -1
UNREADABLE = (ResponseError, UnicodeDecodeError)  # the key is of another type, or holds bytes that are no text
# Append one attempt's events to the job's stream, after dropping those of earlier attempts. KEYS: the stream.
# ARGV: seconds to keep it, the attempt, then seq and text of each event.
APPEND = """
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2] .. '-0')
for i = 3, #ARGV, 2 do
    redis.call('XADD', KEYS[1], ARGV[2] .. '-' .. ARGV[i], 'frame', ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('XLEN', KEYS[1])
"""


class Batch(NamedTuple):
    """Events of one attempt that follow each other."""

    job: AiJob
    frames: Sequence[Frame]


async def append(redis: Redis, batches: Sequence[Batch]) -> list[int]:
    """Append events to their jobs' streams, in one round trip.

    For each batch: how many events of its attempt the stream holds now, or REFUSED when it already held an event at
    or after one of these places. RedisError when Redis is away; whether anything was appended is then unknown.
    """
    async with redis.pipeline(transaction=False) as pipe:
        for batch in batches:
            pipe.eval(APPEND, 1, *_arguments(batch))
        answers = await pipe.execute(raise_on_error=False)
    return [REFUSED if isinstance(answer, ResponseError) else answer for answer in answers]


async def rewrite(redis: Redis, job: AiJob, frames: Sequence[Frame]) -> bool:
    """Replace the stream, which has holes or cannot be read, by these events. False when a newer attempt owns it."""
    if (await last_place(redis, job.pk)).attempt > frames[0].place.attempt:
        return False
    await redis.delete(_key(job.pk))
    await append(redis, [Batch(job, frames)])
    return True


async def push(batches: Sequence[Batch]) -> None:
    """Send events to every socket of their jobs' people, in one round trip."""
    await get_channel_layer().group_send_many((batch.job.person.group, _message(batch)) for batch in batches)


async def read_after(redis: Redis, job_id: UUID | str, place: Place) -> list[Frame]:
    """The kept events after this place, in order. There may be holes: what Redis has lost or cannot be read."""
    try:
        entries: Any = await redis.xrange(_key(job_id), min=f"({place}")
    except UNREADABLE:
        return []
    return [item for entry in entries if (item := _read(str(job_id), entry))]


async def last_place(redis: Redis, job_id: UUID | str) -> Place:
    """The place of the last kept event; START when there is none, or the stream's end cannot be read."""
    try:
        newest: Any = await redis.xrevrange(_key(job_id), count=1)
    except UNREADABLE:
        return START
    item = _read(str(job_id), newest[0]) if newest else None
    return item.place if item else START


# The rest is synchronous: it is called by views, by the admin and on the database threads of an event loop.


def publish_outside_run(job: AiJob, event: Event) -> None:
    """Publish an event of a job that no worker is running, behind whatever its last attempt has said."""
    redis = connections.redis()
    try:
        with redis.fail_fast():
            last = _last_place(redis, job.pk)
            place = Place(job.attempt, last.seq + 1 if last.attempt == job.attempt else 1)
            batch = Batch(job, [frame(job, place, event)])
            if not job.is_erased:
                with suppress(ResponseError):  # another event took this place meanwhile: open sockets get this one, too
                    redis.eval(APPEND, 1, *_arguments(batch))
            redis.publish(*get_channel_layer().packed(job.person.group, _message(batch)))
    except (RedisError, OSError) as error:
        logger.warning("job %s: viewers will learn from the row, Redis is away: %s", job.pk, type(error).__name__)


def tell_signed_out(person: Person, session: str) -> None:
    """Have the sockets closed that were opened with this session, named by its fingerprint."""
    redis, message = connections.redis(), {"type": "session.ended", "session": session}
    try:
        with redis.fail_fast():
            redis.publish(*get_channel_layer().packed(person.group, message))
    except (RedisError, OSError) as error:
        logger.warning("sockets of an ended session close later, Redis is away: %s", type(error).__name__)


def forget(jobs: Sequence[AiJob]) -> None:
    """Delete the events of these jobs: their text was deleted, or they start over."""
    if not jobs:
        return
    try:
        connections.redis().delete(*(_key(job.pk) for job in jobs))
    except (RedisError, OSError) as error:
        logger.warning("old events of %d jobs stay until they expire: %s", len(jobs), type(error).__name__)


def _last_place(redis: connections.Client, job_id: UUID) -> Place:
    """As `last_place`, but deletes a stream whose end cannot be read: it might refuse new events."""
    try:
        newest: Any = redis.xrevrange(_key(job_id), count=1)
    except ResponseError:
        newest = []
    if newest and (item := _read(str(job_id), newest[0])):
        return item.place
    redis.delete(_key(job_id))
    return START


def _arguments(batch: Batch) -> list[Any]:
    """The stream and the arguments of APPEND."""
    events = [part for item in batch.frames for part in (item.place.seq, item.text)]
    return [_key(batch.job.pk), settings.JOBS_EVENTS_TTL, batch.frames[0].place.attempt, *events]


def _message(batch: Batch) -> dict[str, Any]:
    return {"type": "job.events", "frames": [list(item) for item in batch.frames]}


def _read(job_id: str, entry: Any) -> Frame | None:
    """The frame of a stream's entry; None when there is none in it, as in one of another release."""
    try:
        place, fields = (_text(entry[0]), {_text(name): value for name, value in entry[1].items()})
        return Frame.read(job_id, Place.parse(place), _text(fields["frame"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _key(job_id: UUID | str) -> str:
    return connections.key(f"aijob:{job_id}:events")
