"""The tutors' pages. On the copilot page, static/tutors/*.js uses the API."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template import Context
from django.urls import reverse

from config.errors import Problem
from conversations import pages
from conversations.models import Conversation
from courses.models import Course
from tutors import threads


def course_link(page: Context) -> dict[str, Any]:
    """Return the context of the copilot link on a course page: whether the user may use it."""
    return {"is_tutor": page["course"].is_taught_by(page["request"].user)}


@login_required
def copilot(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the copilot of a course to its tutors. `?conversation=` opens an earlier conversation."""
    course = get_object_or_404(Course, slug=slug, tutors=request.user.pk)
    conversations = Conversation.objects.filter(owner_id=request.user.pk, surface="tutors", course=course)
    context = {
        "course": course,
        "page_url": reverse("tutors:copilot", args=[course.slug]),
        "lessons": course.lessons.order_by("position", "pk").only("title"),
        "may_open_threads": threads.may_open(request.user),
        **pages.context(request, conversations),
    }
    return render(request, "tutors/copilot.html", context)


@login_required
def thread(request: HttpRequest, slug: str, question_id: int) -> HttpResponse:
    """Show a learner's conversation with the name. It needs a permission, and every reading is noted."""
    course = get_object_or_404(Course, slug=slug, tutors=request.user.pk)
    try:
        conversation = threads.open_thread(request.user, course, question_id)
    except Problem as problem:
        raise (PermissionDenied if problem.status_code == 403 else Http404) from None
    return render(request, "tutors/thread.html", {"course": course, "conversation": conversation})
