"""The course pages: list, course, lesson."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from courses.models import Course, Lesson


@login_required
def course_list(request: HttpRequest) -> HttpResponse:
    """List the courses that the user may open."""
    courses = Course.objects.for_user(request.user).annotate(lesson_count=Count("lessons", distinct=True))
    return render(request, "courses/list.html", {"courses": courses.order_by("title")})


@login_required
def course(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one course with its lessons."""
    course = get_object_or_404(Course.objects.for_user(request.user), slug=slug)
    return render(request, "courses/course.html", {"course": course, "lessons": _outline(course)})


@login_required
def lesson(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one lesson with links to the previous and next one. The browser renders its Markdown (site/lesson.js)."""
    courses = Course.objects.for_user(request.user)
    lesson = get_object_or_404(Lesson.objects.select_related("course"), pk=pk, course__in=courses)
    outline = _outline(lesson.course)
    index = outline.index(lesson)
    context = {
        "course": lesson.course,
        "lesson": lesson,
        "number": index + 1,
        "count": len(outline),
        "previous": outline[index - 1] if index else None,
        "next": outline[index + 1] if index + 1 < len(outline) else None,
    }
    return render(request, "courses/lesson.html", context)


def _outline(course: Course) -> list[Lesson]:
    return list(course.lessons.order_by("position", "pk").defer("body"))
