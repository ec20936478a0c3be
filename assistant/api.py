"""The assistant over HTTP."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from conversations.actions import ask
from courses.api import course_for
from jobs import intake

MAX_QUESTION = 4000


class QuerySerializer(serializers.Serializer[Any]):
    courseId = serializers.CharField(max_length=100)
    question = serializers.CharField(max_length=MAX_QUESTION)
    conversationId = serializers.UUIDField(required=False, allow_null=True, help_text="To ask a follow-up.")


class QueryView(APIView):
    @extend_schema(request=QuerySerializer, responses=intake.RESPONSES, parameters=[intake.IDEMPOTENCY_KEY])
    def post(self, request: Request) -> Response:
        """Ask a question about a course. The answer is written by a worker; follow the job to read it."""
        query = QuerySerializer(data=request.data)
        query.is_valid(raise_exception=True)
        body = query.validated_data
        course = course_for(request.user, body["courseId"])
        return intake.accept(
            request,
            body,
            lambda wish: ask(wish, "assistant.answer", body["question"], body.get("conversationId"), course=course),
        )
