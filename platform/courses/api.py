"""Courses and lessons over HTTP. These views make no AI calls."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.errors import Problem
from courses.models import Course, Lesson


class CourseSerializer(serializers.ModelSerializer[Course]):
    courseId = serializers.CharField(source="slug")

    class Meta:
        model = Course
        fields = ["courseId", "title", "summary"]


class ListedLessonSerializer(serializers.ModelSerializer[Lesson]):
    lessonId = serializers.CharField(source="pk")

    class Meta:
        model = Lesson
        fields = ["lessonId", "title"]


class CourseDetailSerializer(CourseSerializer):
    lessons = ListedLessonSerializer(many=True)

    class Meta(CourseSerializer.Meta):
        fields = ["courseId", "title", "summary", "lessons"]


class LessonSerializer(serializers.ModelSerializer[Lesson]):
    lessonId = serializers.CharField(source="pk")
    courseId = serializers.CharField(source="course.slug")

    class Meta:
        model = Lesson
        fields = ["lessonId", "courseId", "title", "body"]


class CitationSerializer(serializers.Serializer[Any]):
    """A passage that an answer cites (courses/citations.py)."""

    n = serializers.IntegerField()
    lessonId = serializers.CharField()
    title = serializers.CharField()
    heading = serializers.CharField()


class CourseListView(ListAPIView[Course]):
    """The courses that the caller may open."""

    serializer_class = CourseSerializer

    def get_queryset(self) -> QuerySet[Course]:
        return Course.objects.for_user(self.request.user)


class CourseView(APIView):
    @extend_schema(responses=CourseDetailSerializer)
    def get(self, request: Request, course_id: str) -> Response:
        """One course with its lessons."""
        return Response(CourseDetailSerializer(course_for(request.user, course_id)).data)


@extend_schema(parameters=[OpenApiParameter("lesson_id", OpenApiTypes.STR, OpenApiParameter.PATH)])
class LessonView(APIView):
    @extend_schema(responses=LessonSerializer)
    def get(self, request: Request, lesson_id: str) -> Response:
        """One lesson with its text in Markdown."""
        known = Lesson.objects.filter(pk=lesson_id) if _is_id(lesson_id) else Lesson.objects.none()
        readable = known.filter(course__in=Course.objects.for_user(request.user))
        lesson = readable.select_related("course").defer("course__summary").first()
        if lesson is None:
            raise _closed(known, "There is no such lesson.")
        return Response(LessonSerializer(lesson).data)


def course_for(user: Any, course_id: str) -> Course:
    """Return the course with this id. Raises Problem 404 if there is none, 403 if the user may not open it."""
    known = Course.objects.filter(slug=course_id)
    course = known.for_user(user).first()
    if course is None:
        raise _closed(known, "There is no such course.")
    return course


def lesson_in(course: Course, lesson_id: str) -> Lesson:
    """Return the course's lesson with this id. Raises Problem 404 if the course has no such lesson."""
    lesson = course.lessons.filter(pk=lesson_id).defer("body").first() if _is_id(lesson_id) else None
    if lesson is None:
        raise Problem(404, "not_found", "There is no such lesson in this course.")
    return lesson


def _closed(known: QuerySet[Any], unknown: str) -> Problem:
    """Return the error for something that this user cannot open: 403 if it exists, else 404."""
    if known.exists():
        return Problem(403, "not_enrolled", "You are not enrolled in this course.")
    return Problem(404, "not_found", unknown)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19
