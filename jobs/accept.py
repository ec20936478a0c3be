"""The answer 202 to a call that wants a job: what every surface's view ends with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import people
from config.errors import Problem
from config.openapi import ErrorSerializer
from jobs import limits, submission
from jobs.api.serializers import AcceptedSerializer, accepted, links
from jobs.kinds import INTERACTIVE
from jobs.limits import LimitReached
from jobs.models import AiJob
from jobs.submission import KeyReused, SubjectBusy

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key and body give the same job again.",
)
RESPONSES = {
    202: AcceptedSerializer,
    409: OpenApiResponse(ErrorSerializer, "An answer is being written already; details.jobId says which."),
    413: OpenApiResponse(ErrorSerializer, "The body is too large."),
    422: OpenApiResponse(ErrorSerializer, "The Idempotency-Key was used for another request."),
    429: OpenApiResponse(ErrorSerializer, "Too many jobs of this person are active, or today's budget is used up."),
    503: OpenApiResponse(ErrorSerializer, "Too many jobs are waiting; Retry-After says when to come back."),
}
MAX_KEY_LENGTH = 255


def accept(
    request: Request, body: dict[str, Any], create: Callable[[submission.Request], AiJob], queue: str = INTERACTIVE
) -> Response:
    """Create the job and answer 202, or the Problem of the contract. `create` runs in one transaction."""
    person = people.from_request(request)
    assert person is not None, "the view's permissions let nobody through without a person"
    wish = submission.Request(person, _idempotency_key(request), request.path, body)
    try:
        job = submission.submit_once(wish, lambda: _admit(wish, queue, create))
    except LimitReached as limit:
        raise refusal(limit) from None
    except SubjectBusy as busy:
        details = {"jobId": str(busy.active.pk)}
        raise Problem(409, "busy", "The previous answer is still being written.", details) from None
    except KeyReused:
        raise Problem(422, "idempotency_key_reused", "This Idempotency-Key was used for another request.") from None
    return Response(accepted(job), status=202, headers={"Location": links(job)["self"]})


def refusal(limit: LimitReached) -> Problem:
    """What the person is told when a limit holds a job back."""
    return Problem(503 if limit.is_ours else 429, limit.code, str(limit), retry_after=limit.retry_after)


def _admit(wish: submission.Request, queue: str, create: Callable[[submission.Request], AiJob]) -> AiJob:
    limits.check_admission(wish.person, queue)
    return create(wish)


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isprintable()):
        raise Problem(400, "invalid", f"Idempotency-Key has to be 1 to {MAX_KEY_LENGTH} printable characters.")
    return key
