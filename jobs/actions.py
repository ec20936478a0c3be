"""What people do with jobs, from the API, the socket and the admin alike: the move, then the news of it."""

from __future__ import annotations

from collections.abc import Callable

from jobs.backends import db, queues
from jobs.events import outcome, publish
from jobs.lifecycle import transitions
from jobs.models import AiJob


async def cancel(job: AiJob) -> AiJob | None:
    """Cancel a job that has not ended; None if it has. A running one ends within a second."""
    cancelled = await db.call(transitions.request_cancel, job)
    if cancelled and cancelled.is_final:
        await publish.publish_outside_run(cancelled, await db.call(outcome.final_event, cancelled))
    return cancelled


async def retry(job: AiJob, admit: Callable[[], None] = lambda: None) -> AiJob | None:
    """Run a failed or cancelled job again; None if its state forbids it.

    Raises IntegrityError if its subject is busy, and what `admit` raises.
    """
    retried = await db.call(transitions.retry, job, admit)
    if retried:
        await db.call(publish.forget, [retried])  # or somebody reads its old end as the new one
        await db.call(queues.enqueue, retried)
    return retried
