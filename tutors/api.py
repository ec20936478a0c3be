"""The copilot over HTTP, for the tutors of a course. Everybody else gets 404."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.errors import Problem
from config.http.pagination import PAGE, Pages, page_of
from config.openapi import ErrorSerializer
from conversations.serializers import AskedSerializer
from courses.api import lesson_in
from courses.models import Course
from jobs.accept import IDEMPOTENCY_KEY, accept, responses
from tutors import actions, insights, threads
from tutors.content import QuizEdit, ReplyEdit
from tutors.kinds import COPILOT, REDRAFT
from tutors.models import Draft
from tutors.serializers import (
    CopilotSerializer,
    DraftEditSerializer,
    DraftSerializer,
    InsightsSerializer,
    RegenerateSerializer,
    ThreadSerializer,
    VersionSerializer,
)

COURSE_ID = OpenApiParameter("course_id", OpenApiTypes.STR, OpenApiParameter.PATH)
QUESTION_ID = OpenApiParameter("question_id", OpenApiTypes.INT, OpenApiParameter.PATH)
DRAFT_ID = OpenApiParameter("draft_id", OpenApiTypes.INT, OpenApiParameter.PATH)
CHANGED = {
    200: DraftSerializer,
    409: OpenApiResponse(ErrorSerializer, "The draft has changed in the meantime, or was already decided."),
}


def taught_course(user: Any, course_id: str) -> Course:
    """Return the course with this id. Raises Problem 404 unless this user teaches it."""
    course = Course.objects.filter(slug=course_id, tutors=user).first()
    if course is None:
        raise Problem(404, "not_found", "You do not teach such a course.")
    return course


@extend_schema(parameters=[COURSE_ID])
class CopilotView(APIView):
    @extend_schema(request=CopilotSerializer, responses=responses(AskedSerializer), parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request, course_id: str) -> Response:
        """Ask the copilot of a course. A worker answers; replies and quiz questions are saved as drafts."""
        course = taught_course(request.user, course_id)
        query = CopilotSerializer(data=request.data)
        query.is_valid(raise_exception=True)
        body: dict[str, Any] = query.validated_data
        lesson = lesson_in(course, body["lessonId"]) if body.get("lessonId") is not None else None
        question_id = body.get("questionId")
        if question_id is not None and insights.asked_without_names(course, question_id) is None:
            raise Problem(404, "not_found", "There is no such question.")
        return accept(
            request,
            body,
            COPILOT,
            lambda submission: actions.ask_copilot(
                submission,
                course,
                body["question"],
                body.get("conversationId"),
                intent="reply" if question_id else body.get("intent"),
                lesson_id=lesson.pk if lesson else None,
                question_id=question_id,
            ),
        )


@extend_schema(parameters=[COURSE_ID])
class InsightsView(APIView):
    @extend_schema(responses=InsightsSerializer)
    def get(self, request: Request, course_id: str) -> Response:
        """Get what learners of a course asked recently: counts, themes, open questions, without names."""
        course = taught_course(request.user, course_id)
        return Response(InsightsSerializer(insights.of_course(course)).data)


@extend_schema(parameters=[COURSE_ID, QUESTION_ID])
class ThreadView(APIView):
    @extend_schema(responses=ThreadSerializer)
    def get(self, request: Request, course_id: str, question_id: int) -> Response:
        """Get the conversation of a learner's question, with the name. It needs a permission, and is noted."""
        course = taught_course(request.user, course_id)
        return Response(ThreadSerializer(threads.open_thread(request.user, course, question_id)).data)


@extend_schema(parameters=[COURSE_ID])
class DraftListView(APIView):
    pagination_class = Pages

    @extend_schema(
        operation_id="drafts_list",
        responses=DraftSerializer(many=True),
        filters=True,
        parameters=[
            OpenApiParameter(
                "status", str, enum=Draft.State.values, description="Only drafts with this status; default: draft."
            ),
            *PAGE,
        ],
    )
    def get(self, request: Request, course_id: str) -> Response:
        """List the drafts of a course, newest request first."""
        state = request.query_params.get("status", Draft.State.DRAFT)
        if state not in Draft.State.values:
            raise Problem(400, "invalid", "status must be draft, accepted or discarded.")
        drafts = taught_course(request.user, course_id).drafts.filter(state=state)
        return page_of(drafts, self, lambda draft: DraftSerializer(draft).data)


class _DraftView(APIView):
    def draft(self, request: Request, course_id: str, draft_id: int) -> Draft:
        """Return the draft. Raises Http404 unless the caller teaches its course."""
        draft = Draft.objects.for_tutor(request.user).filter(course__slug=course_id, pk=draft_id).first()
        if draft is None:
            raise Http404
        return draft


@extend_schema(parameters=[COURSE_ID, DRAFT_ID])
class DraftView(_DraftView):
    @extend_schema(responses=DraftSerializer)
    def get(self, request: Request, course_id: str, draft_id: int) -> Response:
        """Get one draft."""
        return Response(DraftSerializer(self.draft(request, course_id, draft_id)).data)

    @extend_schema(request=DraftEditSerializer, responses=CHANGED)
    def patch(self, request: Request, course_id: str, draft_id: int) -> Response:
        """Edit a draft. `version` prevents overwriting newer text."""
        draft = self.draft(request, course_id, draft_id)
        body = _valid(DraftEditSerializer, request)
        changed = actions.edit(draft, body["version"], _content(draft, body["content"]))
        return Response(DraftSerializer(changed).data)


@extend_schema(parameters=[COURSE_ID, DRAFT_ID])
class AcceptView(_DraftView):
    @extend_schema(request=VersionSerializer, responses=CHANGED)
    def post(self, request: Request, course_id: str, draft_id: int) -> Response:
        """Accept this version of a draft. This publishes nothing."""
        draft = self.draft(request, course_id, draft_id)
        return Response(DraftSerializer(actions.accept(draft, _valid(VersionSerializer, request)["version"])).data)


@extend_schema(parameters=[COURSE_ID, DRAFT_ID])
class DiscardView(_DraftView):
    @extend_schema(request=None, responses=CHANGED)
    def post(self, request: Request, course_id: str, draft_id: int) -> Response:
        """Discard a draft."""
        return Response(DraftSerializer(actions.discard(self.draft(request, course_id, draft_id))).data)


@extend_schema(parameters=[COURSE_ID, DRAFT_ID])
class RegenerateView(_DraftView):
    @extend_schema(request=RegenerateSerializer, responses=responses(), parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request, course_id: str, draft_id: int) -> Response:
        """Submit a job that rewrites a draft. If the draft is edited before the job ends, the job changes nothing."""
        draft = self.draft(request, course_id, draft_id)
        body = _valid(RegenerateSerializer, request)
        instruction = body["instruction"]
        return accept(request, body, REDRAFT, lambda submission: actions.regenerate(submission, draft, instruction))


def _valid(serializer: Any, request: Request) -> dict[str, Any]:
    body = serializer(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)


def _content(draft: Draft, changed: dict[str, Any]) -> ReplyEdit | QuizEdit:
    schema = ReplyEdit if draft.kind == Draft.Kind.REPLY else QuizEdit
    try:
        return schema.model_validate(changed)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(["content", *map(str, first["loc"])])
        raise Problem(400, "invalid", f"{place}: {first['msg']}") from None
