"""The course assistant's page. Everything that moves on it is static/assistant/chat.js and the API."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from conversations import pages
from conversations.models import Conversation
from courses.models import Course

SUGGESTIONS = 3


@login_required
def chat(request: HttpRequest, slug: str) -> HttpResponse:
    """The chat of one course; `?conversation=` opens an earlier one of the same person and course."""
    course = get_object_or_404(Course.objects.for_user(request.user), slug=slug)
    conversations = Conversation.objects.filter(owner_id=request.user.pk, surface="assistant", course=course)
    context = {
        "course": course,
        "page_url": reverse("assistant:chat", args=[course.slug]),
        "suggestions": course.lessons.order_by("position", "pk").only("title")[:SUGGESTIONS],
        **pages.context(request, conversations),
    }
    return render(request, "assistant/chat.html", context)
