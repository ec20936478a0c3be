"""The assistant over HTTP."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from assistant.actions import ask_about, may_guide, set_guidance
from assistant.kinds import ANSWER
from assistant.models import Guidance
from config.errors import Problem
from conversations.serializers import AskedSerializer
from courses.api import course_for, lesson_in
from jobs.accept import IDEMPOTENCY_KEY, accept, responses

MAX_QUESTION_CHARS = 4000


class QuerySerializer(serializers.Serializer[Any]):
    courseId = serializers.CharField(max_length=100)
    question = serializers.CharField(max_length=MAX_QUESTION_CHARS)
    conversationId = serializers.UUIDField(required=False, allow_null=True, help_text="To ask a follow-up.")
    lessonId = serializers.CharField(
        max_length=20, required=False, allow_null=True, help_text="The lesson that the learner is reading."
    )


class GuidanceSerializer(serializers.Serializer[Any]):
    level = serializers.ChoiceField(Guidance.Level.choices)


class QueryView(APIView):
    @extend_schema(request=QuerySerializer, responses=responses(AskedSerializer), parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request) -> Response:
        """Ask a question about a course. A worker writes the answer; follow the job to read it."""
        query = QuerySerializer(data=request.data)
        query.is_valid(raise_exception=True)
        body = query.validated_data
        course = course_for(request.user, body["courseId"])
        lesson = lesson_in(course, body["lessonId"]) if body.get("lessonId") is not None else None
        return accept(
            request,
            body,
            ANSWER,
            lambda submission: ask_about(submission, course, lesson, body["question"], body.get("conversationId")),
        )


@extend_schema(parameters=[OpenApiParameter("course_id", OpenApiTypes.STR, OpenApiParameter.PATH)])
class GuidanceView(APIView):
    @extend_schema(responses=GuidanceSerializer)
    def get(self, request: Request, course_id: str) -> Response:
        """Get the guidance level: how the assistant of a course helps with tasks and graded work."""
        return Response({"level": Guidance.of(course_for(request.user, course_id)).level})

    @extend_schema(request=GuidanceSerializer, responses=GuidanceSerializer)
    def put(self, request: Request, course_id: str) -> Response:
        """Set the guidance level. Only tutors of the course, and staff with the permission, may do this."""
        course = course_for(request.user, course_id)
        if not may_guide(request.user, course):
            raise Problem(403, "forbidden", "Only tutors of this course can decide how its assistant helps.")
        body = GuidanceSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        set_guidance(request.user, course, body.validated_data["level"], "API")
        return Response(body.validated_data)
