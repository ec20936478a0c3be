"""The copilot's requests and answers on the wire."""

from __future__ import annotations

from typing import Any, get_args

from rest_framework import serializers

from courses.api import CitationSerializer
from tutors.digest import Insights, Trouble
from tutors.models import Draft
from tutors.pipeline import Intent

MAX_QUESTION_CHARS = 4000
MAX_ID = 2**63 - 1


class CopilotSerializer(serializers.Serializer[Any]):
    question = serializers.CharField(max_length=MAX_QUESTION_CHARS)
    conversationId = serializers.UUIDField(required=False, allow_null=True, help_text="To go on with a conversation.")
    intent = serializers.ChoiceField(
        get_args(Intent), required=False, allow_null=True, help_text="What is wanted; without it, the question tells."
    )
    lessonId = serializers.CharField(
        max_length=20, required=False, allow_null=True, help_text="The lesson that a quiz is to be about."
    )
    questionId = serializers.IntegerField(
        min_value=1, max_value=MAX_ID, required=False, allow_null=True,
        help_text="The learner's open question that a reply is for; the intent is then reply.",
    )  # fmt: skip


class SourceSerializer(serializers.Serializer[Any]):
    lessonId = serializers.CharField()
    title = serializers.CharField()
    heading = serializers.CharField(allow_blank=True)
    quote = serializers.CharField(help_text="Words of that passage.")


class ContentSerializer(serializers.Serializer[Any]):
    """The content of a draft: of a reply `asked`, `text` and `citations`; of a quiz question the others."""

    kind = serializers.ChoiceField(Draft.Kind.choices)
    asked = serializers.CharField(required=False)
    text = serializers.CharField(required=False, help_text="Markdown.")
    citations = CitationSerializer(many=True, required=False)
    question = serializers.CharField(required=False)
    options = serializers.ListField(child=serializers.CharField(), required=False)
    right = serializers.IntegerField(required=False, help_text="Index of the right option, from 0.")
    explanation = serializers.CharField(required=False)
    passage = SourceSerializer(required=False)


class DraftSerializer(serializers.ModelSerializer[Draft]):
    draftId = serializers.CharField(source="pk")
    status = serializers.ChoiceField(Draft.State.choices, source="state")
    content = ContentSerializer()
    isEdited = serializers.BooleanField(source="is_edited")
    questionId = serializers.IntegerField(source="question_id", allow_null=True)
    jobId = serializers.UUIDField(source="job_id", allow_null=True, help_text="The request that it came of.")
    writtenBy = serializers.UUIDField(
        source="written_by_id", allow_null=True, help_text="The job that wrote it anew, if one did."
    )
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")

    class Meta:
        model = Draft
        fields = [
            "draftId", "kind", "status", "version", "content", "isEdited", "questionId", "jobId", "writtenBy",
            "position", "createdAt", "updatedAt",
        ]  # fmt: skip


class VersionSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField(help_text="Of the draft that the tutor has seen.")


class DraftEditSerializer(VersionSerializer):
    """What is changed: of a reply `text`; of a quiz question `question`, `options`, `right` and `explanation`."""

    content = serializers.DictField()


class RegenerateSerializer(serializers.Serializer[Any]):
    instruction = serializers.CharField(
        max_length=500, required=False, default="", allow_blank=True, help_text="What to do differently."
    )


class ThemeSerializer(serializers.Serializer[Any]):
    lessonId = serializers.CharField(source="lesson_id")
    title = serializers.CharField()
    heading = serializers.CharField(allow_blank=True)
    questions = serializers.IntegerField()
    troubled = serializers.IntegerField(help_text="Of these questions, how many were not answered well.")
    learners = serializers.IntegerField(allow_null=True, help_text="null where they are too few to be told.")


class OpenQuestionSerializer(serializers.Serializer[Any]):
    questionId = serializers.IntegerField(source="question_id")
    text = serializers.CharField(help_text="Without names, addresses and numbers.")
    trouble = serializers.ChoiceField(get_args(Trouble))
    askedOn = serializers.DateField(source="asked_on")


class InsightsSerializer(serializers.Serializer[Insights]):
    """What learners of the course have asked lately; nobody is named."""

    days = serializers.IntegerField()
    questions = serializers.IntegerField()
    learners = serializers.IntegerField(allow_null=True, help_text="null where they are too few to be told.")
    troubles = serializers.DictField(child=serializers.IntegerField())
    themes = ThemeSerializer(many=True)
    open = OpenQuestionSerializer(many=True)
    withheld = serializers.IntegerField(help_text="Open questions whose text could tell who asked.")


class ThreadMessageSerializer(serializers.Serializer[Any]):
    role = serializers.CharField()
    text = serializers.CharField()
    createdAt = serializers.DateTimeField(source="created_at")


class ThreadSerializer(serializers.Serializer[Any]):
    learner = serializers.CharField(source="owner.get_username")
    name = serializers.CharField(source="owner.get_full_name", allow_blank=True)
    messages = ThreadMessageSerializer(source="messages.all", many=True)
