"""Conversations over HTTP, for every surface and for visitors too."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import people
from config.errors import Problem
from conversations.models import Conversation, Message
from jobs import outcome
from jobs.models import AiJob
from jobs.serializers import CitationSerializer, JobErrorSerializer


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
    courseId = serializers.CharField(allow_null=True)
    title = serializers.CharField()
    messages = MessageSerializer(many=True)
    activeJobId = serializers.UUIDField(allow_null=True)


@extend_schema(parameters=[OpenApiParameter("conversation_id", OpenApiTypes.UUID, OpenApiParameter.PATH)])
class ConversationView(APIView):
    permission_classes = [AllowAny]  # visitors have conversations too; whose one it is decides in the query

    @extend_schema(responses=ConversationSerializer)
    def get(self, request: Request, conversation_id: str) -> Response:
        """A conversation of the caller, its messages in order."""
        return Response(_as_wire(self.conversation(request, conversation_id)))

    def conversation(self, request: Request, conversation_id: str) -> Conversation:
        """The caller's conversation. Problem 404 for anybody else's, 401 for nobody."""
        person = people.from_request(request)
        if person is None:
            self.permission_denied(request)
        try:
            return Conversation.objects.of(person).select_related("course").get(pk=UUID(conversation_id))
        except (ValueError, Conversation.DoesNotExist):
            raise Problem(404, "not_found", "There is no such conversation.") from None


def _as_wire(conversation: Conversation) -> dict[str, Any]:
    messages = list(conversation.messages.select_related("job"))
    active = [str(m.job.pk) for m in messages if m.role == Message.Role.USER and m.job and not m.job.is_final]
    return {
        "conversationId": str(conversation.pk),
        "courseId": conversation.course.slug if conversation.course else None,
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
