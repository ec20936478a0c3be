"""The copilot over HTTP, for the tutors of a course. Everybody else gets 404."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.errors import Problem
from conversations.serializers import AskedSerializer
from courses.api import lesson_in
from courses.models import Course
from jobs.accept import IDEMPOTENCY_KEY, accept, responses
from tutors import insights, threads
from tutors.actions import ask_copilot
from tutors.kinds import COPILOT
from tutors.serializers import CopilotSerializer, InsightsSerializer, ThreadSerializer

COURSE_ID = OpenApiParameter("course_id", OpenApiTypes.STR, OpenApiParameter.PATH)
QUESTION_ID = OpenApiParameter("question_id", OpenApiTypes.INT, OpenApiParameter.PATH)


def taught_course(user: Any, course_id: str) -> Course:
    """Return the course with this id. Raises Problem 404 unless this user teaches it."""
    course = Course.objects.filter(slug=course_id, tutors=user).first() if "\0" not in course_id else None
    if course is None:
        raise Problem(404, "not_found", "You do not teach such a course.")
    return course


@extend_schema(parameters=[COURSE_ID])
class CopilotView(APIView):
    @extend_schema(request=CopilotSerializer, responses=responses(AskedSerializer), parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request, course_id: str) -> Response:
        """Ask the copilot of a course. A worker answers; replies and quiz questions are saved as drafts."""
        course = taught_course(request.user, course_id)
        query = CopilotSerializer(data=request.data)
        query.is_valid(raise_exception=True)
        body: dict[str, Any] = query.validated_data
        lesson = lesson_in(course, body["lessonId"]) if body.get("lessonId") is not None else None
        question_id = body.get("questionId")
        if question_id is not None and insights.asked_without_names(course, question_id) is None:
            raise Problem(404, "not_found", "There is no such question.")
        return accept(
            request,
            body,
            COPILOT,
            lambda submission: ask_copilot(
                submission,
                course,
                body["question"],
                body.get("conversationId"),
                intent="reply" if question_id else body.get("intent"),
                lesson_id=lesson.pk if lesson else None,
                question_id=question_id,
            ),
        )


@extend_schema(parameters=[COURSE_ID])
class InsightsView(APIView):
    @extend_schema(responses=InsightsSerializer)
    def get(self, request: Request, course_id: str) -> Response:
        """Get what learners of a course asked recently: counts, themes, open questions, without names."""
        course = taught_course(request.user, course_id)
        return Response(InsightsSerializer(insights.of_course(course)).data)


@extend_schema(parameters=[COURSE_ID, QUESTION_ID])
class ThreadView(APIView):
    @extend_schema(responses=ThreadSerializer)
    def get(self, request: Request, course_id: str, question_id: int) -> Response:
        """Get the conversation of a learner's question, with the name. It needs a permission, and is noted."""
        course = taught_course(request.user, course_id)
        return Response(ThreadSerializer(threads.open_thread(request.user, course, question_id)).data)
