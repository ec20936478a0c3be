"""The assistant over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from assistant.actions import ask
from assistant.models import Conversation, Message
from config.errors import Problem
from courses.api import course_for
from jobs import intake, outcome
from jobs.models import AiJob
from jobs.serializers import CitationSerializer, JobErrorSerializer

MAX_QUESTION = 4000


class QuerySerializer(serializers.Serializer[Any]):
    courseId = serializers.CharField(max_length=100)
    question = serializers.CharField(max_length=MAX_QUESTION)
    conversationId = serializers.UUIDField(required=False, allow_null=True, help_text="To ask a follow-up.")


class MessageSerializer(serializers.Serializer[Any]):
    messageId = serializers.CharField()
    role = serializers.ChoiceField(Message.Role.choices)
    text = serializers.CharField()
    citations = CitationSerializer(many=True)
    createdAt = serializers.DateTimeField()
    jobId = serializers.UUIDField(allow_null=True)
    status = serializers.ChoiceField(AiJob.Status.choices, allow_null=True)
    error = JobErrorSerializer(required=False)
    retryable = serializers.BooleanField(required=False)


class ConversationSerializer(serializers.Serializer[Any]):
    conversationId = serializers.UUIDField()
    courseId = serializers.CharField()
    title = serializers.CharField()
    messages = MessageSerializer(many=True)
    activeJobId = serializers.UUIDField(allow_null=True)


class QueryView(APIView):
    @extend_schema(request=QuerySerializer, responses=intake.RESPONSES, parameters=[intake.IDEMPOTENCY_KEY])
    def post(self, request: Request) -> Response:
        """Ask a question about a course. The answer is written by a worker; follow the job to read it."""
        query = QuerySerializer(data=request.data)
        query.is_valid(raise_exception=True)
        body = query.validated_data
        course = course_for(request.user, body["courseId"])
        return intake.accept(
            request, body, lambda wish: ask(wish, course, body["question"], body.get("conversationId"))
        )


@extend_schema(parameters=[OpenApiParameter("conversation_id", OpenApiTypes.UUID, OpenApiParameter.PATH)])
class ConversationView(APIView):
    @extend_schema(responses=ConversationSerializer)
    def get(self, request: Request, conversation_id: str) -> Response:
        """A conversation of the caller, its messages in order."""
        try:
            owned = Conversation.objects.select_related("course").filter(owner_id=request.user.pk)
            conversation = owned.get(pk=UUID(conversation_id))
        except (ValueError, Conversation.DoesNotExist):
            raise Problem(404, "not_found", "There is no such conversation.") from None
        return Response(_conversation(conversation))


def _conversation(conversation: Conversation) -> dict[str, Any]:
    messages = list(conversation.messages.select_related("job"))
    active = [str(m.job.pk) for m in messages if m.role == Message.Role.USER and m.job and not m.job.is_final]
    return {
        "conversationId": str(conversation.pk),
        "courseId": conversation.course.slug,
        "title": conversation.title,
        "messages": [_message(message) for message in messages],
        "activeJobId": active[-1] if active else None,
    }


def _message(message: Message) -> dict[str, Any]:
    job = message.job
    wire = {
        "messageId": str(message.pk),
        "role": message.role,
        "text": message.text,
        "citations": message.citations,
        "createdAt": message.created_at,
        "jobId": str(job.pk) if job else None,
        "status": job.status if job else None,
    }
    if job and message.role == Message.Role.USER and job.status == AiJob.Status.FAILED:
        wire |= {"error": outcome.wire_error(job), "retryable": job.retryable}
    return wire
