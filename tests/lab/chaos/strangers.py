"""What other releases, other programs and accidents leave behind: rows and keys that background tasks stumble over."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import redis.asyncio
from redis import RedisError

from devstack.servers.stack import Stack

QUEUE, KIND = "of-another-release", "chaos.unknown"  # that no worker of this release knows
WRONG = "no such thing"  # the value of a key that should be a hash or a stream
SPOILED_STREAMS = 3  # running jobs whose events cannot be appended any more


def plant_rows() -> list[UUID]:
    """Add jobs that are due and that no worker here can run; returns their ids. They stay until the end of the run."""
    from django.utils import timezone

    from jobs.models import AiJob

    now: dict[str, Any] = {"run_after": timezone.now(), "asked_at": timezone.now()}
    rows = [
        AiJob(kind="assistant.answer", queue=QUEUE, **now),
        AiJob(kind=KIND, queue="interactive", **now),
        AiJob(kind=KIND, queue="background", history={"not": "a list"}, uncounted=1, **now),
        AiJob(kind=KIND, queue="background", history=["not an entry"], uncounted=1, **now),
    ]
    return [row.pk for row in AiJob.objects.bulk_create(rows)]


def remove_rows(planted: list[UUID]) -> list[str]:
    """Remove them again. Returns what happened to them: nothing should have."""
    from jobs.models import AiJob

    rows = AiJob.objects.filter(pk__in=planted)
    touched = [f"{row.kind} in {row.queue}: {row.status}" for row in rows if row.status != "pending" or row.attempt]
    gone = [f"{len(planted) - len(rows)} of {len(planted)} are gone"] if len(rows) < len(planted) else []
    rows.delete()
    return touched + gone


async def plant_keys(url: str, running: list[str]) -> None:
    """Put text in the place of all breakers and buckets, and of the event streams of some of these running jobs."""
    streams = [f"*aijob:{job_id}:events" for job_id in running[:SPOILED_STREAMS]]
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        with suppress(RedisError, OSError):  # it was just killed, and comes back empty
            for pattern in ("*breaker:*", "*governor:*", *streams):
                async for key in client.scan_iter(pattern):
                    await client.set(key, WRONG)


async def remove_keys(url: str) -> list[str]:
    """Remove these keys again. Returns those buckets that nobody had put right: calls had to do without them."""
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        wrong = [key async for key in client.scan_iter("*", _type="string") if await client.get(key) == WRONG]
        if wrong:
            await client.delete(*wrong)
        return [key for key in wrong if "governor:" in key]


def running_jobs() -> list[str]:
    """The ids of jobs that run now, the newest first. None while the database is away."""
    from django.db import OperationalError

    from jobs.models import AiJob

    try:
        rows = AiJob.objects.filter(status=AiJob.Status.RUNNING).order_by("-started_at")
        return [str(pk) for pk in rows.values_list("pk", flat=True)]
    except OperationalError:
        return []


def were_reported(parts: Stack) -> bool:
    """Whether a worker's log names the jobs that nobody here can run."""
    logs = (parts.supervisor.log_of("worker-1").parent).glob("worker-*.log")
    return any(f"{KIND} in " in log.read_text(errors="replace") for log in logs)
