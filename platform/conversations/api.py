"""Conversations over HTTP, for every surface and for visitors too."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.person_view import PersonView
from config.errors import Problem
from config.http.pagination import PAGE, Pages, page_of
from config.http.renderers import WrittenByView
from conversations import actions, export
from conversations.access import own_conversation
from conversations.models import Conversation, Message
from conversations.serializers import (
    ConversationSerializer,
    ListedConversationSerializer,
    RatingSerializer,
    RenameSerializer,
    conversation_as_wire,
    listed_as_wire,
)

CONVERSATION_ID = OpenApiParameter("conversation_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
MAX_FILTER_CHARS = 100


class _View(PersonView):
    def conversation(self, request: Request, conversation_id: str) -> Conversation:
        """Return the caller's conversation. Raises Problem 404 for other people's."""
        with_course = Conversation.objects.select_related("course")
        return own_conversation(self.person(request), conversation_id, with_course)


class ListView(_View):
    pagination_class = Pages

    @extend_schema(
        operation_id="conversations_list",
        responses=ListedConversationSerializer(many=True),
        filters=True,
        parameters=[
            OpenApiParameter("surface", str, description="Only conversations with this surface."),
            OpenApiParameter("courseId", str, description="Only conversations about this course."),
            *PAGE,
        ],
    )
    def get(self, request: Request) -> Response:
        """List the caller's conversations, newest first."""
        conversations = Conversation.objects.of(self.person(request)).select_related("course")
        for name, field in (("surface", "surface"), ("courseId", "course__slug")):
            if wanted := request.query_params.get(name):
                conversations = conversations.filter(**{field: wanted[:MAX_FILTER_CHARS]})
        return page_of(conversations.order_by("-updated_at", "pk"), self, listed_as_wire)


@extend_schema(parameters=[CONVERSATION_ID])
class ConversationView(_View):
    @extend_schema(responses=ConversationSerializer)
    def get(self, request: Request, conversation_id: str) -> Response:
        """Get a conversation with its messages in order."""
        return Response(conversation_as_wire(self.conversation(request, conversation_id)))

    @extend_schema(request=RenameSerializer, responses=ListedConversationSerializer)
    def patch(self, request: Request, conversation_id: str) -> Response:
        """Change the title."""
        conversation = self.conversation(request, conversation_id)
        body = RenameSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        actions.rename(conversation, body.validated_data["title"])
        return Response(listed_as_wire(self.conversation(request, conversation_id)))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, conversation_id: str) -> Response:
        """Permanently delete the conversation. An answer that is being written is cancelled."""
        actions.delete(self.conversation(request, conversation_id))
        return Response(status=204)


@extend_schema(
    parameters=[CONVERSATION_ID, OpenApiParameter("message_id", OpenApiTypes.STR, OpenApiParameter.PATH)],
)
class RatingView(_View):
    @extend_schema(request=RatingSerializer, responses={200: RatingSerializer})
    def put(self, request: Request, conversation_id: str, message_id: str) -> Response:
        """Rate an answer. The messageId may be that of the answer or of its question."""
        answer = _answer(self.conversation(request, conversation_id), message_id)
        body = RatingSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        said: dict[str, Any] = body.validated_data
        actions.rate(answer, said["rating"] or "", said["reason"])
        return Response({"rating": said["rating"], "reason": said["reason"] if said["rating"] else ""})


class MarkdownRenderer(WrittenByView):
    media_type = "text/markdown"
    format = "markdown"


@extend_schema(parameters=[CONVERSATION_ID])
class ExportView(_View):
    renderer_classes = [JSONRenderer, MarkdownRenderer]

    @extend_schema(responses={(200, "text/markdown"): OpenApiTypes.STR})
    def get(self, request: Request, conversation_id: str) -> HttpResponse:
        """Export the conversation as a Markdown file."""
        conversation = self.conversation(request, conversation_id)
        name = f'attachment; filename="{export.file_name(conversation)}"'
        text = export.as_markdown(conversation)
        return HttpResponse(text, content_type="text/markdown; charset=utf-8", headers={"Content-Disposition": name})


def _answer(conversation: Conversation, message_id: str) -> Message:
    answers = conversation.messages.filter(role=Message.Role.ASSISTANT)
    if message_id.isascii() and message_id.isdecimal() and len(message_id) < 19:
        pk = int(message_id)
        if found := answers.filter(pk=pk).first() or answers.filter(job__messages=pk).first():
            return found
    raise Problem(404, "not_found", "There is no such answer.")
