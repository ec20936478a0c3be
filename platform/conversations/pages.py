"""What the chat pages of the surfaces share: the earlier conversations beside the chat, and the one that is open."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404

from conversations.models import ConversationQuerySet

RECENT = 30


def context(request: HttpRequest, conversations: ConversationQuerySet) -> dict[str, Any]:
    """For a template: the newest of these conversations, and the one that `?conversation=` names. Http404."""
    newest_first = conversations.order_by("-updated_at")
    opened = None
    if conversation_id := request.GET.get("conversation"):
        try:
            opened = get_object_or_404(newest_first, pk=UUID(conversation_id))
        except ValueError:
            raise Http404("no such conversation") from None
    return {"conversations": newest_first[:RECENT], "conversation": opened}
