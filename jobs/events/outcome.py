"""How a job ended, in the words of the wire: for the last event and for the row alike."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum

from jobs.events.schema import Cancelled, Citation, Completed, Error, Event, Failed, Usage
from jobs.models import AiJob


def wire_result(job: AiJob) -> dict[str, Any]:
    """`answer` and `citations` of a text job, `result` of any other; nothing while there is none."""
    if not job.result:
        return {}
    if "answer" in job.result:
        return {"answer": job.result["answer"], "citations": job.result.get("citations", [])}
    return {"result": job.result}


def wire_error(job: AiJob) -> dict[str, Any] | None:
    """Why the job failed, or why it is waiting to be tried again."""
    return {"code": job.error_code, "message": job.error_message} if job.error_code else None


def final_event(job: AiJob, used: Usage | None = None) -> Event:
    """The event that tells how this job ended. ValueError for one that has not ended.

    Reads the job's calls, unless it is told what they used.
    """
    result = wire_result(job)
    match job.status:
        case AiJob.Status.COMPLETED:
            citations = [Citation(**citation) for citation in result.get("citations", [])]
            cited = {**result, "citations": citations} if "answer" in result else result
            return Completed(**cited, usage=used or usage(job))
        case AiJob.Status.FAILED:
            return Failed(error=Error(code=job.error_code, message=job.error_message), retryable=job.retryable)
        case AiJob.Status.CANCELLED:
            return Cancelled(answer=result.get("answer", ""))
    raise ValueError(f"job {job.pk} is {job.status}")


def usage(job: AiJob) -> Usage:
    """Tokens of the job's upstream calls."""
    total = job.calls.aggregate(input=Sum("input_tokens"), output=Sum("output_tokens"))
    return Usage(inputTokens=total["input"] or 0, outputTokens=total["output"] or 0)
