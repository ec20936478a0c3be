"""The 202 answer to a call that creates a job: what every surface's view ends with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import people
from config.errors import Problem
from config.openapi import ErrorSerializer
from jobs import limits
from jobs.kinds import JobKind
from jobs.limits import LimitReached
from jobs.models import AiJob
from jobs.submission import KeyReused, SubjectBusy, Submission, submit_once

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key and body give the same job again.",
)
MAX_KEY_LENGTH = 255


class LinksSerializer(serializers.Serializer[Any]):
    self = serializers.CharField()
    events = serializers.CharField()
    cancel = serializers.CharField()


class AcceptedSerializer(serializers.Serializer[Any]):
    """The 202 answer. The job is followed over the WebSocket, `links.events` or `links.self`."""

    jobId = serializers.UUIDField()
    status = serializers.ChoiceField(AiJob.Status.choices)
    links = LinksSerializer()


def responses(accepted: type[AcceptedSerializer] = AcceptedSerializer) -> dict[int, Any]:
    """What a call that creates a job can answer, for its schema. `accepted` adds what the kind tells of the payload."""
    return {202: accepted, **REFUSALS}


REFUSALS = {
    409: OpenApiResponse(ErrorSerializer, "An answer is being written already; details.jobId says which."),
    413: OpenApiResponse(ErrorSerializer, "The body is too large."),
    422: OpenApiResponse(ErrorSerializer, "The Idempotency-Key was used for another request."),
    429: OpenApiResponse(ErrorSerializer, "Too many jobs of this person are active, or today's budget is used up."),
    503: OpenApiResponse(ErrorSerializer, "Too many jobs are waiting; Retry-After says when to come back."),
}


def accept(request: Request, body: dict[str, Any], kind: JobKind, create: Callable[[Submission], AiJob]) -> Response:
    """Create a job of this kind and answer 202, or raise the Problem of the contract.

    `create` runs in one transaction and submits the job. ValueError if it submits a job of another kind.
    """
    person = people.from_request(request)
    assert person is not None, "the view's permissions let nobody through without a person"
    submission = Submission(person, _idempotency_key(request), request.path, body)

    def admit_and_create() -> AiJob:
        limits.check_admission(person, kind.queue)
        job = create(submission)
        if job.kind != kind.name:
            raise ValueError(f"the call accepts {kind.name}, and submitted {job.kind}")
        return job

    try:
        job = submit_once(submission, admit_and_create)
    except LimitReached as limit:
        raise refusal(limit) from None
    except SubjectBusy as busy:
        details = {"jobId": str(busy.active.pk)}
        raise Problem(409, "busy", "The previous answer is still being written.", details) from None
    except KeyReused:
        raise Problem(422, "idempotency_key_reused", "This Idempotency-Key was used for another request.") from None
    told = {key: job.payload[key] for key in kind.told if key in job.payload}
    answer = {"jobId": str(job.pk), "status": job.status, **told, "links": links(job)}
    return Response(answer, status=202, headers={"Location": links(job)["self"]})


def refusal(limit: LimitReached) -> Problem:
    """What the person is told when a limit refuses a job."""
    return Problem(503 if limit.is_ours else 429, limit.code, str(limit), retry_after=limit.retry_after)


def links(job: AiJob) -> dict[str, str]:
    """Where the job can be looked at and acted on."""
    views = {"self": "job", "events": "events", "cancel": "cancel"}
    return {name: reverse(f"jobs:{view}", args=[job.pk]) for name, view in views.items()}


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isprintable()):
        raise Problem(400, "invalid", f"Idempotency-Key has to be 1 to {MAX_KEY_LENGTH} printable characters.")
    return key
