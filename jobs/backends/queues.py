"""Queue entries in Redis: only transport. An entry holds a job's id; losing or doubling one is harmless."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import django_rq
from django.conf import settings
from redis import RedisError
from rq import Queue
from rq.exceptions import DuplicateJobError

from jobs.backends import connections
from jobs.models import AiJob

logger = logging.getLogger(__name__)

RUN_JOB = "jobs.tasks.run_job"
RUN_JOB_NAMES = (RUN_JOB, "jobs.runner.run_job")  # and the name that entries of the previous release carry

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
    """Those of these pending jobs that are in no queue of Redis."""
    queued = {entry for name in settings.JOBS_QUEUES for entry in _queue(name).get_job_ids()}
    return [job for job in jobs if job.rq_id not in queued]


def forget(job: AiJob) -> None:
    """Delete what Redis may still hold of an entry that is in no queue, so that the job can be enqueued again."""
    connections.redis().delete(_queue(job.queue).job_class.key_for(job.rq_id))


def _queue(name: str) -> Queue:
    # "auto": the caller has committed already, so there is nothing to wait for.
    return django_rq.get_queue(name, connection=connections.redis(), commit_mode="auto")
