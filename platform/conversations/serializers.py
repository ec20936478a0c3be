"""Conversations in the API's format."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from config.openapi import JobErrorSerializer
from conversations.models import Conversation, Message
from courses.api import CitationSerializer
from jobs.accept import AcceptedSerializer
from jobs.models import AiJob


class AskedSerializer(AcceptedSerializer):
    """The 202 response to a question."""

    conversationId = serializers.UUIDField()
    messageId = serializers.CharField()


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
    rating = serializers.ChoiceField(Message.Rating.choices, allow_null=True)
    reason = serializers.CharField(help_text="The reason for the rating.")
    suggestions = serializers.ListField(child=serializers.CharField(), help_text="Suggested follow-up questions.")


class ListedConversationSerializer(serializers.Serializer[Any]):
    """A conversation in a list."""

    conversationId = serializers.UUIDField()
    surface = serializers.CharField()
    courseId = serializers.CharField(allow_null=True)
    title = serializers.CharField()
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()


class ConversationSerializer(ListedConversationSerializer):
    messages = MessageSerializer(many=True)
    activeJobId = serializers.UUIDField(allow_null=True)


class RenameSerializer(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=120)


class RatingSerializer(serializers.Serializer[Any]):
    rating = serializers.ChoiceField(Message.Rating.choices, allow_null=True, help_text="null removes the rating.")
    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


def listed_as_wire(conversation: Conversation) -> dict[str, Any]:
    """Return the conversation as a list item. Its course must be loaded."""
    return {
        "conversationId": str(conversation.pk),
        "surface": conversation.surface,
        "courseId": conversation.course.slug if conversation.course else None,
        "title": conversation.title,
        "createdAt": conversation.created_at,
        "updatedAt": conversation.updated_at,
    }


def conversation_as_wire(conversation: Conversation) -> dict[str, Any]:
    """Return the conversation with its messages in order."""
    messages = list(conversation.messages.select_related("job"))
    active = [str(m.job.pk) for m in messages if m.role == Message.Role.USER and m.job and not m.job.is_final]
    return {
        **listed_as_wire(conversation),
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
        "rating": message.rating or None,
        "reason": message.reason,
        "suggestions": message.suggestions,
    }
    if job and message.role == Message.Role.USER and job.status == AiJob.Status.FAILED:
        wire |= {"error": job.error, "retryable": job.retryable}
    return wire
