"""The account of upstream calls: one AiCall row for each, whatever became of it."""

from __future__ import annotations

from jobs.models import AiCall, AiJob
from llm.calls import Call

_FIELDS = (
    "purpose",
    "model",
    "outcome",
    "error_code",
    "error_detail",
    "upstream_id",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "estimated",
    "cost",
    "governor_ms",
    "first_token_ms",
    "duration_ms",
    "started_at",
)


def enter(run: AiJob, call: Call) -> None:
    """Write the call of this run down."""
    values = {name: getattr(call, name) for name in _FIELDS}
    AiCall.objects.create(job_id=run.pk, attempt=run.attempt, **values)
