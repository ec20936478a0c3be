"""What the surfaces' chat pages share: the list of earlier conversations, and the open conversation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import urlencode

from conversations.models import ConversationQuerySet

RECENT_CONVERSATIONS = 30


def context(request: HttpRequest, conversations: ConversationQuerySet) -> dict[str, Any]:
    """Return the template context: the newest conversations, the API's URL for older ones ("" if there are none), and
    the conversation that `?conversation=` names. Raises Http404 if that is not one of these conversations.
    """
    newest_first = conversations.order_by("-updated_at", "pk").select_related("course")
    opened = None
    if conversation_id := request.GET.get("conversation"):
        try:
            opened = get_object_or_404(newest_first, pk=UUID(conversation_id))
        except ValueError:
            raise Http404("no such conversation") from None
    listed = list(newest_first[: RECENT_CONVERSATIONS + 1])
    older = ""
    if len(listed) > RECENT_CONVERSATIONS:
        query = {"surface": listed[0].surface, "limit": str(RECENT_CONVERSATIONS)}
        if course := listed[0].course:
            query["courseId"] = course.slug
        older = f"{reverse('conversations:list')}?{urlencode(query)}"
    return {"conversations": listed[:RECENT_CONVERSATIONS], "older": older, "conversation": opened}
