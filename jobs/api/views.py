"""Jobs over HTTP: look at them, follow, cancel and retry them."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import networks, sockets
from accounts.people import Person
from accounts.person_view import PersonView
from config.errors import Problem
from config.http.renderers import WrittenByView
from config.openapi import ErrorSerializer
from config.staff import Acting
from jobs import actions, disclosure, kinds, limits
from jobs.accept import REFUSALS, links, refusal
from jobs.api import sse
from jobs.api.serializers import JobSerializer, QuotaSerializer, as_wire
from jobs.api.viewers import Full, Viewers
from jobs.events.schema import START, Place
from jobs.limits import LimitReached
from jobs.models import AiJob

CONFLICT = {409: OpenApiResponse(ErrorSerializer, "The job's state does not allow it.")}
LIMITED = {status: REFUSALS[status] for status in (429, 503)}
JOB_ID = OpenApiParameter("job_id", OpenApiTypes.UUID, OpenApiParameter.PATH)


class _JobView(PersonView):
    def job(self, request: Request, job_id: str) -> AiJob:
        """The job, if the caller may see it. Problem 404 for anybody else's, 401 for nobody."""
        try:
            return AiJob.objects.visible_to(self.person(request)).get(pk=UUID(job_id))
        except (ValueError, AiJob.DoesNotExist):
            raise Problem(404, "not_found", "There is no such job.") from None

    def acting(self, request: Request, job: AiJob) -> Acting | None:
        """Who acts, if it is staff on somebody else's job. Problem 403 without the permission."""
        try:
            return disclosure.acting(self.person(request), job, "API")
        except disclosure.NotAllowed:
            raise Problem(403, "forbidden", "Acting on other people's jobs takes a permission of its own.") from None

    def wire(self, request: Request, job: AiJob) -> dict[str, Any]:
        """The job's row, with its text if the caller may read that."""
        return as_wire(job, with_text=disclosure.open_job(self.person(request), job))


@extend_schema(parameters=[JOB_ID])
class JobView(_JobView):
    @extend_schema(responses=JobSerializer)
    def get(self, request: Request, job_id: str) -> Response:
        """The job's row: always true, whatever became of its events."""
        return Response(self.wire(request, self.job(request, job_id)))


@extend_schema(parameters=[JOB_ID])
class CancelView(_JobView):
    @extend_schema(request=None, responses={200: JobSerializer, 202: JobSerializer, **CONFLICT})
    def post(self, request: Request, job_id: str) -> Response:
        """Stop the job. One that runs stops within a second and keeps what it has said so far."""
        job = self.job(request, job_id)
        cancelled = actions.cancel(job, self.acting(request, job))
        if cancelled is None:
            raise Problem(409, "already_ended", "This job has already ended.")
        status = 200 if cancelled.is_final else 202
        return Response(self.wire(request, cancelled), status=status, headers=_location(cancelled))


@extend_schema(parameters=[JOB_ID])
class RetryView(_JobView):
    @extend_schema(request=None, responses={202: JobSerializer, **CONFLICT, **LIMITED})
    def post(self, request: Request, job_id: str) -> Response:
        """Run a failed or cancelled job again. The limits are those of a new one; staff who do it have none."""
        person, job = self.person(request), self.job(request, job_id)
        by = self.acting(request, job)
        try:
            retried = actions.retry(job, (lambda: None) if by else functools.partial(_admit, request, person, job), by)
        except LimitReached as limit:
            raise refusal(limit) from None
        except IntegrityError:
            raise Problem(409, "busy", "Another answer of this conversation is being written.") from None
        if retried is None:
            raise Problem(409, "not_retryable", "Only a failed or cancelled job can be run again.")
        return Response(self.wire(request, retried), status=202, headers=_location(retried))


def _admit(request: Request, person: Person, job: AiJob) -> None:
    limits.check_admission(person, job.queue)
    kinds.get(job.kind).admit_again(request, person)


def _location(job: AiJob) -> dict[str, str]:
    return {"Location": links(job)["self"]}


class QuotaView(_JobView):
    @extend_schema(responses=QuotaSerializer)
    def get(self, request: Request) -> Response:
        """What is left of the caller's AI budget for today."""
        return Response({"left": limits.left_today(self.person(request)), "renewedAt": limits.next_midnight()})


class EventStreamRenderer(WrittenByView):
    media_type = "text/event-stream"
    format = "event-stream"


class EventStream(StreamingHttpResponse):
    """Closes its generator as soon as the client is gone. Django leaves that to the garbage collector."""

    def __init__(self, events: AsyncGenerator[str], **kwargs: Any) -> None:
        super().__init__(events, **kwargs)
        self._events = events

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        """The events as bytes."""
        async with aclosing(self._events) as events:
            async for piece in events:
                yield piece.encode()


@extend_schema(parameters=[JOB_ID])
class EventsView(_JobView):
    viewers: Viewers | None = None  # given by jobs/api/urls.py
    renderer_classes = [EventStreamRenderer, JSONRenderer]

    @extend_schema(
        parameters=[OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER, description="attempt-seq")],
        responses={(200, "text/event-stream"): OpenApiTypes.STR, **LIMITED},
    )
    def get(self, request: Request, job_id: str) -> StreamingHttpResponse:
        """The job's events as they happen, from the beginning or after `Last-Event-ID`; ends with the job."""
        assert self.viewers is not None, "jobs/api/urls.py hands them in"
        job, person, network = self.job(request, job_id), self.person(request), networks.network_of(request)
        if not disclosure.open_job(person, job):
            raise Problem(403, "forbidden", "Reading other people's answers takes a permission of its own.")
        try:
            self.viewers.check_room_for_stream(person, network)
        except Full as full:
            raise _refused(full) from None
        allowed = sockets.pass_of_request(request, person)
        connection.close()  # a stream may last for minutes, and the pool's connections are few
        events = sse.stream(job, _last_seen(request), self.viewers, allowed, network)
        response = EventStream(events, content_type="text/event-stream")
        response["Cache-Control"] = "no-store"
        response["X-Accel-Buffering"] = "no"  # proxies must not hold events back
        return response


def _refused(full: Full) -> Problem:
    if full.by_person:
        return Problem(429, "too_many_streams", "Too many event streams are open. Please close one.", None, 30)
    return Problem(503, "saturated", "Too many people are connected right now. Please try again.", None, 30)


def _last_seen(request: Request) -> Place:
    try:
        return Place.parse(request.headers["Last-Event-ID"])
    except KeyError:
        return START
    except ValueError:
        raise Problem(400, "invalid", "Last-Event-ID is not of the form attempt-seq.") from None
