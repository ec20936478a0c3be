"""The course assistant's pages: the chat, and the guidance level for tutors."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from assistant.actions import may_guide, set_guidance
from assistant.models import Guidance
from conversations import pages
from conversations.models import Conversation
from courses.models import Course, Lesson

SUGGESTED_LESSONS = 3


class GuidanceForm(forms.Form):
    level = forms.ChoiceField(choices=Guidance.Level.choices, widget=forms.RadioSelect, label="How it helps")


@login_required
def chat(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the chat of a course. `?conversation=` opens an earlier one, `?lesson=` is the lesson being read."""
    course = get_object_or_404(Course.objects.for_user(request.user), slug=slug)
    conversations = Conversation.objects.filter(owner_id=request.user.pk, surface="assistant", course=course)
    context = {
        "course": course,
        "page_url": reverse("assistant:chat", args=[course.slug]),
        "lesson": _lesson(course, request.GET.get("lesson", "")),
        "suggestions": course.lessons.order_by("position", "pk").only("title")[:SUGGESTED_LESSONS],
        "guidance": Guidance.of(course),
        "may_guide": may_guide(request.user, course),
        **pages.context(request, conversations),
    }
    return render(request, "assistant/chat.html", context)


@login_required
def guidance(request: HttpRequest, slug: str) -> HttpResponse:
    """Let tutors set how the assistant helps with tasks and graded work."""
    course = get_object_or_404(Course.objects.for_user(request.user), slug=slug)
    if not may_guide(request.user, course):
        raise PermissionDenied
    form = GuidanceForm(request.POST or None, initial={"level": Guidance.of(course).level})
    if request.method == "POST" and form.is_valid():
        set_guidance(request.user, course, form.cleaned_data["level"], "page")
        messages.success(request, "Saved. It applies from the next question on.")
        return redirect("assistant:guidance-page", slug)
    return render(request, "assistant/guidance.html", {"course": course, "form": form})


def _lesson(course: Course, lesson_id: str) -> Lesson | None:
    """Return the lesson with this id if it belongs to the course."""
    if not (lesson_id.isascii() and lesson_id.isdecimal() and len(lesson_id) < 19):
        return None
    return course.lessons.filter(pk=lesson_id).defer("body").first()
