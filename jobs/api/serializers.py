"""Jobs on the wire."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers

from jobs.events import outcome
from jobs.models import AiJob


class LinksSerializer(serializers.Serializer[Any]):
    self = serializers.CharField()
    events = serializers.CharField()
    cancel = serializers.CharField()


class AcceptedSerializer(serializers.Serializer[Any]):
    """The 202 answer. The job is followed over the WebSocket, `links.events` or `links.self`."""

    jobId = serializers.UUIDField()
    status = serializers.ChoiceField(AiJob.Status.choices)
    conversationId = serializers.UUIDField(required=False)
    messageId = serializers.CharField(required=False)
    links = LinksSerializer()


class CitationSerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField()
    lessonId = serializers.CharField()
    title = serializers.CharField()
    heading = serializers.CharField()


class JobErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


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
    answer = serializers.CharField(required=False, help_text="Markdown; for text jobs.")
    citations = CitationSerializer(many=True, required=False)
    result = serializers.JSONField(required=False, help_text="For jobs with a structured result.")
    error = JobErrorSerializer(required=False)
    retryable = serializers.BooleanField(required=False, help_text="For failed jobs: whether a retry may help.")


class QuotaSerializer(serializers.Serializer[Any]):
    left = serializers.FloatField(allow_null=True, help_text="The share of today's budget, 0 to 1; null: no limit.")
    renewedAt = serializers.DateTimeField()


def links(job: AiJob) -> dict[str, str]:
    """Where the job can be looked at and acted on."""
    return {
        name: reverse(f"jobs:{view}", args=[job.pk])
        for name, view in (("self", "job"), ("events", "events"), ("cancel", "cancel"))
    }


def accepted(job: AiJob) -> dict[str, Any]:
    """The 202 body of a job. What the surface put into the payload for the client comes along."""
    extra = {key: job.payload[key] for key in ("conversationId", "messageId") if key in job.payload}
    return {"jobId": str(job.pk), "status": job.status, **extra, "links": links(job)}


def _is_deferred(job: AiJob) -> bool:
    return job.status == AiJob.Status.PENDING and job.run_after is not None and job.run_after > timezone.now()


def as_wire(job: AiJob, *, with_text: bool = True) -> dict[str, Any]:
    """The job's row; what is not there yet is left out, and its text where the caller may not read that."""
    fields = {
        "jobId": str(job.pk),
        "kind": job.kind,
        "status": job.status,
        "attempt": job.attempt,
        "createdAt": job.created_at,
        "startedAt": job.started_at,
        "finishedAt": job.finished_at,
        "retryAt": job.run_after if _is_deferred(job) else None,
        "error": None if job.status == AiJob.Status.COMPLETED else outcome.wire_error(job),
        "retryable": job.retryable if job.status == AiJob.Status.FAILED else None,
        **(outcome.wire_result(job) if with_text else {}),
    }
    return {key: value for key, value in fields.items() if value is not None}
