"""The only module that publishes events, and where they are kept for viewers who missed some.

Every event goes to the job's Redis stream under the id "attempt-seq", so that Redis itself refuses what a late
run says after a newer one has begun, and then to the person's Channels group. Redis may lose both at any moment:
a run keeps its own events and writes them again, and when it has ended the row in Postgres is enough.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.conf import settings
from redis import RedisError, ResponseError
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from accounts.people import Person
from jobs.backends import queues
from jobs.events.schema import FINAL, START, Event, Frame, Place, frame
from jobs.models import AiJob

logger = logging.getLogger(__name__)

REFUSED = -1
# One attempt's events into the job's stream, after those of earlier attempts have been dropped. KEYS: the stream.
# ARGV: seconds that it is kept, the attempt, then seq and text of each event.
APPEND = """
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2] .. '-0')
for i = 3, #ARGV, 2 do
    redis.call('XADD', KEYS[1], ARGV[2] .. '-' .. ARGV[i], 'frame', ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('XLEN', KEYS[1])
"""

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()


class Batch(NamedTuple):
    """Events of one run that follow each other."""

    job: AiJob
    frames: Sequence[Frame]


async def append(batches: Sequence[Batch]) -> list[int]:
    """Add events to their jobs' streams, in one round trip.

    For each batch: how many events of its attempt the stream holds now, or REFUSED when it already held an event at
    or after one of these places. RedisError when Redis is away; what was added is not known then.
    """
    async with redis_client().pipeline(transaction=False) as pipe:
        for job, frames in batches:
            places = [part for item in frames for part in (item.place.seq, item.text)]
            pipe.eval(APPEND, 1, _key(job.pk), settings.JOBS_EVENTS_TTL, frames[0].place.attempt, *places)
        answers = await pipe.execute(raise_on_error=False)
    return [REFUSED if isinstance(answer, ResponseError) else answer for answer in answers]


async def rewrite(job: AiJob, frames: Sequence[Frame]) -> bool:
    """Replace the stream, which has holes, by these events. False when a newer attempt owns it."""
    if (await last_place(job.pk)).attempt > frames[0].place.attempt:
        return False
    await redis_client().delete(_key(job.pk))
    await append([Batch(job, frames)])
    return True


async def push(batches: Sequence[Batch]) -> None:
    """Send events to every socket of their jobs' people, in one round trip."""
    await get_channel_layer().group_send_many(
        (
            Person(user_id=job.owner_id, visitor=job.visitor).group,
            {"type": "job.events", "frames": [list(item) for item in frames]},
        )
        for job, frames in batches
    )


async def tell_signed_out(person: Person, session: str) -> None:
    """Have the sockets closed that were opened with this session, named by its fingerprint."""
    try:
        await get_channel_layer().group_send(person.group, {"type": "session.ended", "session": session})
    except (RedisError, OSError) as error:
        logger.warning("sockets of a session that has ended find out by themselves: %s", type(error).__name__)


async def publish_outside_run(job: AiJob, event: Event) -> None:
    """Publish an event of a job that no worker is running, behind whatever its last run has said."""
    try:
        last = await last_place(job.pk)
        place = Place(job.attempt, last.seq + 1 if last.attempt == job.attempt else 1)
        batch = Batch(job, [frame(job, place, event)])
        if not job.is_erased:
            await append([batch])
        await push([batch])
    except (RedisError, OSError) as error:
        logger.warning("job %s: viewers will learn from the row, Redis is away: %s", job.pk, type(error).__name__)


def forget(jobs: Sequence[AiJob]) -> None:
    """Drop the events of these jobs: their text was deleted, or they start over. Not for an event loop's thread."""
    try:
        if jobs:
            queues.connection().delete(*(_key(job.pk) for job in jobs))
    except (RedisError, OSError) as error:
        logger.warning("old events of %d jobs stay until they expire: %s", len(jobs), type(error).__name__)


async def read_after(job_id: UUID | str, place: Place) -> list[Frame]:
    """The kept events after this place, in order. There may be holes, when Redis has lost some."""
    entries: Any = await redis_client().xrange(_key(job_id), min=f"({place}")
    return [_read(str(job_id), entry_id, fields["frame"]) for entry_id, fields in entries]


async def last_place(job_id: UUID | str) -> Place:
    """Where the kept events end; START when there are none."""
    newest: Any = await redis_client().xrevrange(_key(job_id), count=1)
    return Place.parse(newest[0][0]) if newest else START


def _read(job_id: str, place: str, text: str) -> Frame:
    return Frame(job_id, Place.parse(place), json.loads(text)["type"] in FINAL, text)


def _key(job_id: UUID | str) -> str:
    return f"aijob:{job_id}:events"


def redis_client() -> Redis:
    """The Redis client of this event loop: bounded, and quick to give up."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        pool = BlockingConnectionPool.from_url(
            settings.REDIS_URL,
            decode_responses=True,
            max_connections=32,
            timeout=settings.REDIS_TIMEOUT,
            socket_timeout=settings.REDIS_TIMEOUT,
            socket_connect_timeout=settings.REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )
        _clients[loop] = Redis(connection_pool=pool)
    return _clients[loop]
