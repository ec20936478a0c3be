"""What the worker does to entries in Redis: which it accepts, and what is left of one that it has run.

An entry that runs an AiJob only carries the job's id: the row says how the job ended and how it goes on. So such an
entry is removed when its run ends, however it ends, and RQ never counts it as failed (docs/decisions/0028).
"""

from __future__ import annotations

import logging
from typing import Any

from redis import RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout
from rq.exceptions import InvalidJobOperation
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.job_lifecycle import record_job_failure
from rq.queue import Queue
from rq.results import Result
from rq.utils import now

from jobs.backends import entries, queues
from jobs.backends.db import AWAY
from jobs.worker.heartbeat import RegisteredWorker

logger = logging.getLogger(__name__)

# RQ declares a job failed when its execution has had no heartbeat for HEARTBEAT_TTL. Before that, the entry of a lost
# worker is gone: its job is not failed, another worker continues it.
ENTRY_TTL = queues.HEARTBEAT_TTL - 30


class BookkeepingWorker(RegisteredWorker):
    """Accepts, holds and releases entries."""

    def register_birth(self) -> None:
        queues.repair()
        super().register_birth()

    def accepts(self, job: Job, queue: Queue) -> bool:
        """Whether the entry may be run. One that may not is logged and put away; its row is enqueued again."""
        try:
            entries.check(job)
        except entries.Refused as reason:
            logger.warning("entry %s of queue %s is not run: %s", job.id, queue.name, reason)
            self._put_away(job, queue, f"Not run: {reason}.")
            return False
        return True

    def drop_unreadable(self, error: Exception) -> None:
        """Delete the entry in which RQ met this error while it popped it. Raises the error if there was none."""
        if queue := getattr(error, "queue", None):
            logger.warning("an entry of queue %s is dropped, it cannot be read: %s", queue.name, type(error).__name__)
            entry_id = str(getattr(error, "job_id", ""))
            self.connection.delete(self.job_class.key_for(entry_id))
            queue.intermediate_queue.remove(entry_id)
        elif isinstance(error, UnicodeDecodeError):
            logger.warning("an entry is dropped, its id is no text")
        elif not (isinstance(error, ResponseError) and queues.repair()):
            raise error

    def hold_entry(self, job: Job, queue: Queue) -> None:
        """Note in the entry that this worker runs it, until `release_entry`."""
        with self.connection.pipeline() as pipeline:
            job.prepare_for_execution(self.name, pipeline=pipeline)
            job.save(pipeline=pipeline)  # all of it: it may have vanished since it was popped
            pipeline.expire(job.key, ENTRY_TTL)
            pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
            pipeline.execute()

    def release_entry(self, job: Job, execution: Execution, error: Exception | None, is_stopped: bool) -> None:
        """Remove an entry that has been run. If somebody stopped it, RQ's tools show that for a while."""
        if error and not is_stopped:
            told = None if isinstance(error, AWAY) else error
            logger.error("entry %s: its run ended with %s", job.id, type(error).__name__, exc_info=told)
        job.ended_at = now()
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline, execution)
            pipeline.zrem(job.failed_job_registry.key, job.id)
            if is_stopped and error:
                job.set_status(JobStatus.STOPPED, pipeline=pipeline)
                job.save(pipeline=pipeline)
                pipeline.expire(job.key, job.failure_ttl or ENTRY_TTL)
            else:
                _delete(job, pipeline)
                if not error and job.started_at:
                    self.increment_successful_job_count(pipeline)
                    self.increment_total_working_time(job.ended_at - job.started_at, pipeline)
            pipeline.execute()

    def holds(self, job: Job) -> bool:
        """Whether Redis still holds the entry."""
        return bool(self.connection.hexists(job.key, "data"))

    def forget_execution(self, job: Job, execution: Execution) -> None:
        """Remove all that is left of an entry that has vanished while it was run."""
        with self.connection.pipeline() as pipeline:
            self.cleanup_execution(job, pipeline, execution)
            _delete(job, pipeline)
            pipeline.execute()

    def beat(self, job: Job, execution: Execution) -> None:
        """Tell Redis that the worker still executes this entry. Nothing is told that Redis has lost."""
        if self.connection.exists(execution.key):
            self.maintain_heartbeats(job, execution)
            if entries.runs_a_row(job):
                self.connection.expire(job.key, ENTRY_TTL)

    def run_maintenance_tasks(self) -> None:
        """RQ's cleaning of its registries, which goes on at the next time if it meets what it cannot read."""
        try:
            super().run_maintenance_tasks()
        except (RedisConnectionError, RedisTimeout):
            raise
        except Exception as error:
            logger.warning("RQ's registries could not be cleaned: %s", type(error).__name__)
            if isinstance(error, RedisError):
                queues.repair()
            self.last_cleaned_at = now()  # type: ignore[assignment]

    def handle_job_failure(self, job: Job, queue: Queue, *args: Any, **kwargs: Any) -> None:
        """Record a failed job, unless it is an entry of a row, which RQ found left behind by a lost worker."""
        if entries.belongs_to_row(job.id):
            self._put_away(job, queue, "")
        else:
            super().handle_job_failure(job, queue, *args, **kwargs)

    def _put_away(self, job: Job, queue: Queue, reason: str) -> None:
        """Remove an entry of a row, which the sweeper finds in no queue then; list any other as failed."""
        queue.intermediate_queue.remove(job.id)
        with self.connection.pipeline() as pipeline:
            try:
                if not entries.belongs_to_row(job.id):
                    record_job_failure(job, reason, pipeline)
                    pipeline.execute()
                    return
            except (InvalidJobOperation, ResponseError, ValueError) as error:
                logger.warning("entry %s cannot be listed as failed: %s", job.id, type(error).__name__)
                pipeline.reset()
            _delete(job, pipeline)
            pipeline.execute()


def _delete(job: Job, pipeline: Any) -> None:
    pipeline.delete(job.key, job.dependents_key, job.dependencies_key, Result.get_key(job.id))
