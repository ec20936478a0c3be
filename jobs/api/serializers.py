"""Jobs on the wire."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from config.openapi import JobErrorSerializer
from jobs import kinds
from jobs.models import AiJob


class JobSerializer(serializers.Serializer[Any]):
    """A job as its person sees it."""

    jobId = serializers.UUIDField()
    kind = serializers.CharField()
    status = serializers.ChoiceField(AiJob.Status.choices)
    attempt = serializers.IntegerField()
    createdAt = serializers.DateTimeField()
    startedAt = serializers.DateTimeField(required=False)
    finishedAt = serializers.DateTimeField(required=False)
    retryAt = serializers.DateTimeField(required=False)
    error = JobErrorSerializer(required=False)
    retryable = serializers.BooleanField(required=False, help_text="For failed jobs: whether a retry may help.")

    def get_fields(self) -> dict[str, Any]:
        """The fields of every job, and those that kinds show of their results."""
        return {**super().get_fields(), **kinds.fields()}


class QuotaSerializer(serializers.Serializer[Any]):
    left = serializers.FloatField(allow_null=True, help_text="The share of today's budget, 0 to 1; null: no limit.")
    renewedAt = serializers.DateTimeField()


def as_wire(job: AiJob, *, with_text: bool = True) -> dict[str, Any]:
    """The job's row. Fields without a value are left out, and its text where the caller may not read that."""
    is_deferred = job.status == AiJob.Status.PENDING and job.run_after is not None and job.run_after > timezone.now()
    fields = {
        "jobId": str(job.pk),
        "kind": job.kind,
        "status": job.status,
        "attempt": job.attempt,
        "createdAt": job.created_at,
        "startedAt": job.started_at,
        "finishedAt": job.finished_at,
        "retryAt": job.run_after if is_deferred else None,
        "error": None if job.status == AiJob.Status.COMPLETED else job.error,
        "retryable": job.retryable if job.status == AiJob.Status.FAILED else None,
        **(kinds.shown(job) if with_text else {}),
    }
    return {key: value for key, value in fields.items() if value is not None}
