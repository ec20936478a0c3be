"""The course assistant's page. Everything that moves on it is static/assistant/chat.js and the API."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from assistant.models import Conversation
from courses.models import Course

RECENT = 30
SUGGESTIONS = 3


@login_required
def chat(request: HttpRequest, slug: str) -> HttpResponse:
    """The chat of one course; `?conversation=` opens an earlier one of the same person and course."""
    course = get_object_or_404(Course.objects.for_user(request.user), slug=slug)
    conversations = Conversation.objects.filter(owner_id=request.user.pk, course=course).order_by("-updated_at")
    context = {
        "course": course,
        "conversation": _opened(conversations, request.GET.get("conversation")),
        "conversations": conversations[:RECENT],
        "suggestions": course.lessons.order_by("position", "pk").only("title")[:SUGGESTIONS],
    }
    return render(request, "assistant/chat.html", context)


def _opened(conversations: QuerySet[Conversation], conversation_id: str | None) -> Conversation | None:
    if not conversation_id:
        return None
    try:
        return get_object_or_404(conversations, pk=UUID(conversation_id))
    except ValueError:
        raise Http404("no such conversation") from None
