"""Queue entries in Redis: only transport. An entry holds a job's id; losing or doubling one is harmless."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Iterable

import django_rq
from django.conf import settings
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError

from jobs import kinds
from jobs.models import AiJob

logger = logging.getLogger(__name__)

RUN_JOB = "jobs.tasks.run_job"
HUNG_SECONDS = 1.0  # not to ask a Redis that did not answer: a hundred answers that end must not all wait for it


@functools.cache
def connection() -> Redis:
    """A Redis client that gives up quickly: an unreachable Redis must not hold up a request."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=settings.REDIS_TIMEOUT,
        socket_connect_timeout=settings.REDIS_TIMEOUT,
        retry=Retry(NoBackoff(), 1),
    )


_hung_until = -math.inf
_takers: list[Callable[[AiJob], bool]] = []


def shorten(taker: Callable[[AiJob], bool]) -> None:
    """From now on offer the jobs that this process submits to its own worker; True is that it has taken one."""
    _takers[:] = [taker]


def hand_over(job: AiJob) -> None:
    """Have a job begun that was just submitted: by this process if it is a worker with room, else through its queue."""
    if not any(take(job) for take in _takers):
        enqueue(job)


def enqueue(job: AiJob) -> bool:
    """Put the job's next run in its queue, once. False when Redis did not take it: the sweeper tries again."""
    global _hung_until  # noqa: PLW0603
    if time.monotonic() < _hung_until:
        return False
    try:
        # No limit of RQ's: each run has its kind's deadline, which leaves out the time it had to wait.
        _queue(job.queue).enqueue_call(
            RUN_JOB, args=(str(job.pk),), job_id=job.rq_id, unique=True, timeout=-1, result_ttl=0, failure_ttl=3600
        )
    except DuplicateJobError:
        pass  # It is there already: a repeated command, or another sweeper was first.
    except RedisError as error:
        if isinstance(error, RedisTimeout):
            _hung_until = time.monotonic() + HUNG_SECONDS
        logger.warning("job %s waits for the sweeper, Redis did not take it: %s", job.pk, type(error).__name__)
        return False
    return True


def forgotten(jobs: Iterable[AiJob]) -> list[AiJob]:
    """Those of these waiting jobs that are in no queue of Redis."""
    waiting = {entry for name in kinds.QUEUES for entry in _queue(name).get_job_ids()}
    return [job for job in jobs if job.rq_id not in waiting]


def forget(job: AiJob) -> None:
    """Drop what Redis may still keep of an entry that is in no queue, so that it can be enqueued again."""
    connection().delete(_queue(job.queue).job_class.key_for(job.rq_id))


def _queue(name: str) -> Queue:
    # "auto": the caller has committed already, so there is nothing to wait for.
    return django_rq.get_queue(name, connection=connection(), commit_mode="auto")
