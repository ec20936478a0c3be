"""The final event of a job: how it ended, told from its row."""

from __future__ import annotations

from django.db.models import Sum

from jobs import kinds
from jobs.events.schema import Cancelled, Completed, Error, Event, Failed, Usage
from jobs.models import AiJob


def final_event(job: AiJob, used: Usage | None = None) -> Event:
    """The event that tells how this job ended. ValueError for one that has not ended.

    `used` saves a query: the tokens of the job's calls, where the caller knows them.
    """
    match job.status:
        case AiJob.Status.COMPLETED:
            return Completed(shown=kinds.shown(job), usage=used or usage(job))
        case AiJob.Status.FAILED:
            return Failed(error=Error(code=job.error_code, message=job.error_message), retryable=job.retryable)
        case AiJob.Status.CANCELLED:
            return Cancelled(answer=kinds.text(job))
    raise ValueError(f"job {job.pk} is {job.status}")


def usage(job: AiJob) -> Usage:
    """Tokens of the job's upstream calls, over all its attempts."""
    total = job.calls.aggregate(input=Sum("input_tokens"), output=Sum("output_tokens"))
    return Usage(inputTokens=total["input"] or 0, outputTokens=total["output"] or 0)
