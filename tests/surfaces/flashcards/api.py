"""Flashcards over HTTP."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from courses.api import course_for, lesson_in
from flashcards.actions import ask_for_cards
from flashcards.kinds import CARDS
from flashcards.models import Flashcard
from jobs.accept import IDEMPOTENCY_KEY, accept, responses


class WantedSerializer(serializers.Serializer[Any]):
    courseId = serializers.CharField(max_length=100)
    lessonId = serializers.CharField(max_length=20)
    count = serializers.IntegerField(min_value=1, max_value=20, default=5)


class CardSerializer(serializers.ModelSerializer[Flashcard]):
    lessonId = serializers.CharField(source="lesson_id")

    class Meta:
        model = Flashcard
        fields = ["lessonId", "front", "back"]


class CardsView(APIView):
    @extend_schema(request=WantedSerializer, responses=responses(), parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request) -> Response:
        """Ask for cards on a lesson. A worker writes them; follow the job, then read them."""
        wanted = WantedSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        body: dict[str, Any] = wanted.validated_data
        lesson = lesson_in(course_for(request.user, body["courseId"]), body["lessonId"])
        return accept(request, body, CARDS, lambda submission: ask_for_cards(submission, lesson, body["count"]))

    @extend_schema(responses=CardSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the caller's newest cards."""
        cards = Flashcard.objects.filter(owner_id=request.user.pk)[:200]
        return Response({"results": CardSerializer(cards, many=True).data, "next": None})
