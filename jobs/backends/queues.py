"""Queue entries in Redis: only transport. An entry holds a job's id; losing or doubling one is harmless."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import django_rq
from django.conf import settings
from redis import RedisError
from rq import Queue, worker_registration
from rq.defaults import DEFAULT_JOB_MONITORING_INTERVAL
from rq.exceptions import DuplicateJobError
from rq.executions import ExecutionRegistry
from rq.registry import BaseRegistry

from jobs.backends import connections
from jobs.backends.entries import RUN_JOB
from jobs.models import AiJob

logger = logging.getLogger(__name__)

POP_SECONDS = 1.0  # within which a worker registers what it has popped, also on a busy machine
HEARTBEAT_TTL = DEFAULT_JOB_MONITORING_INTERVAL + 60  # seconds for which RQ registers an execution at each heartbeat
ALIVE_SECONDS = DEFAULT_JOB_MONITORING_INTERVAL + 10  # without a heartbeat for longer, an execution's worker is lost

Dispatch = Callable[[AiJob], bool]

_dispatch: ContextVar[Dispatch | None] = ContextVar("dispatch", default=None)


@contextmanager
def dispatching_to(dispatch: Dispatch | None) -> Iterator[None]:
    """Offer the jobs that this context submits to `dispatch` first; it returns whether it begins the job itself."""
    token = _dispatch.set(dispatch)
    try:
        yield
    finally:
        _dispatch.reset(token)


def dispatch(job: AiJob) -> None:
    """Have a newly submitted job begun: by the worker whose run submitted it if it has room, else through its queue."""
    begin = _dispatch.get()
    if begin is None or not begin(job):
        enqueue(job)


def enqueue(job: AiJob) -> bool:
    """Put the job's next run in its queue, once. False when Redis did not take it: the sweeper tries again."""
    try:
        with connections.redis().fail_fast():
            _queue(job.queue).enqueue_call(
                RUN_JOB,
                args=(str(job.pk),),
                job_id=job.rq_id,
                unique=True,
                timeout=-1,  # RQ sets no limit: each run has its kind's deadline, which leaves out the time it waited
                result_ttl=0,
                failure_ttl=3600,
            )
    except DuplicateJobError:
        pass  # a repeated command, or another sweeper was first
    except RedisError as error:
        logger.warning("job %s waits for the sweeper, Redis did not take it: %s", job.pk, type(error).__name__)
        return False
    return True


def forgotten(jobs: Iterable[AiJob]) -> list[AiJob]:
    """Those of these pending jobs that are in no queue and at no worker.

    A job that has just been popped is nowhere until its worker registers it: what is missing is looked for again after
    POP_SECONDS.
    """
    missing = _missing(list(jobs))
    if not missing:
        return []
    time.sleep(POP_SECONDS)
    pending = AiJob.objects.filter(pk__in=[job.pk for job in missing], status=AiJob.Status.PENDING)
    attempts = dict(pending.values_list("pk", "attempt"))
    return _missing([job for job in missing if attempts.get(job.pk) == job.attempt])


def forget(job: AiJob) -> None:
    """Delete what Redis may still hold of an entry that is in no queue, so that the job can be enqueued again.

    Not while a worker executes it.
    """
    redis, queue = connections.redis(), _queue(job.queue)
    executions = ExecutionRegistry(job.rq_id, redis).key
    if redis.zcount(executions, _alive_since() + 60, "+inf"):  # RQ keeps it for 60 s longer
        return
    between = queue.intermediate_queue
    redis.delete(queue.job_class.key_for(job.rq_id), executions, between.get_first_seen_key(job.rq_id))
    between.remove(job.rq_id)
    redis.zrem(queue.failed_job_registry.key, job.rq_id)


def repair() -> bool:
    """Delete keys of RQ that are not of the type that RQ gives them. True if there were any. Raises RedisError."""
    redis = connections.redis()
    expected = {Queue.redis_queues_keys: b"set", worker_registration.REDIS_WORKER_KEYS: b"set"}
    for queue in map(_queue, settings.JOBS_QUEUES):
        expected |= dict.fromkeys((queue.key, queue.intermediate_queue_key), b"list")
        expected[worker_registration.WORKERS_BY_QUEUE_KEY % queue.name] = b"set"
        expected |= dict.fromkeys((registry.key for registry in _registries(queue)), b"zset")
    damaged = [key for key, kind in expected.items() if redis.type(key) not in (kind, b"none")]
    if damaged:
        logger.warning("Redis holds something else where RQ keeps its own, it is deleted: %s", ", ".join(damaged))
        redis.delete(*damaged)
    return bool(damaged)


def _registries(queue: Queue) -> tuple[BaseRegistry, ...]:
    return (
        queue.started_job_registry,
        queue.failed_job_registry,
        queue.finished_job_registry,
        queue.deferred_job_registry,
        queue.ready_job_registry,
        queue.scheduled_job_registry,
        queue.canceled_job_registry,
    )


def _missing(jobs: list[AiJob]) -> list[AiJob]:
    if not jobs:
        return []
    present = {entry for name in settings.JOBS_QUEUES for entry in _present(_queue(name))}
    return [job for job in jobs if job.rq_id.encode() not in present]


def _present(queue: Queue) -> Iterator[bytes]:
    """The ids that wait in this queue, were popped from it a moment ago, or are executed by a live worker.

    As bytes: whoever uses the queue may have put in what is no text.
    """
    redis: Any = connections.redis()
    between = queue.intermediate_queue
    yield from redis.lrange(queue.key, 0, -1)
    for execution in redis.zrangebyscore(queue.started_job_registry.key, _alive_since(), "+inf"):
        yield execution.partition(b":")[0]
    # Where a worker that listens to this queue alone keeps an id until it has registered it.
    for entry in redis.lrange(between.key, 0, -1):
        entry_id = entry.decode(errors="replace")
        seen = None if between.set_first_seen(entry_id) else between.get_first_seen(entry_id)
        if seen is None or time.time() - seen.timestamp() < settings.JOBS_REQUEUE_SECONDS:
            yield entry


def _alive_since() -> float:
    """The lowest score in RQ's registry of started jobs of an execution whose worker is alive."""
    return time.time() - ALIVE_SECONDS + HEARTBEAT_TTL


def _queue(name: str) -> Queue:
    # "auto": the caller has committed already, so there is nothing to wait for.
    return django_rq.get_queue(name, connection=connections.redis(), commit_mode="auto")
