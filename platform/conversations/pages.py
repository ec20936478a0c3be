"""What the chat pages of the surfaces share: the earlier conversations beside the chat, and the one that is open."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import urlencode

from conversations.models import Conversation, ConversationQuerySet

RECENT_CONVERSATIONS = 30


def context(request: HttpRequest, conversations: ConversationQuerySet) -> dict[str, Any]:
    """For a template: the newest of these conversations, where older ones are listed, if there are any, and the one
    that `?conversation=` names. Http404.
    """
    newest_first = conversations.order_by("-updated_at", "pk").select_related("course")
    opened = None
    if conversation_id := request.GET.get("conversation"):
        try:
            opened = get_object_or_404(newest_first, pk=UUID(conversation_id))
        except ValueError:
            raise Http404("no such conversation") from None
    listed = list(newest_first[: RECENT_CONVERSATIONS + 1])
    older = _listing(listed[0]) if len(listed) > RECENT_CONVERSATIONS else ""
    return {"conversations": listed[:RECENT_CONVERSATIONS], "older": older, "conversation": opened}


def _listing(like: Conversation) -> str:
    """Where the API lists the conversations of the same surface and course."""
    query = {"surface": like.surface, "limit": str(RECENT_CONVERSATIONS)}
    if like.course:
        query["courseId"] = like.course.slug
    return f"{reverse('conversations:list')}?{urlencode(query)}"
