"""The copilot's requests and responses in the API's format."""

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
    conversationId = serializers.UUIDField(required=False, allow_null=True, help_text="To continue a conversation.")
    intent = serializers.ChoiceField(
        get_args(Intent), required=False, allow_null=True, help_text="Without it, the model decides from the question."
    )
    lessonId = serializers.CharField(max_length=20, required=False, allow_null=True, help_text="The lesson for a quiz.")
    questionId = serializers.IntegerField(
        min_value=1, max_value=MAX_ID, required=False, allow_null=True,
        help_text="The learner's open question to reply to; implies the intent reply.",
    )  # fmt: skip


class SourceSerializer(serializers.Serializer[Any]):
    lessonId = serializers.CharField()
    title = serializers.CharField()
    heading = serializers.CharField(allow_blank=True)
    quote = serializers.CharField(help_text="A quote from that passage.")


class ContentSerializer(serializers.Serializer[Any]):
    """The content of a draft. A reply has `asked`, `text` and `citations`; a quiz question has the other fields."""

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
    jobId = serializers.UUIDField(source="job_id", allow_null=True, help_text="The job of the request that created it.")
    writtenBy = serializers.UUIDField(
        source="written_by_id", allow_null=True, help_text="The job that rewrote it, if any."
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
    version = serializers.IntegerField(help_text="The version that the tutor has seen.")


class DraftEditSerializer(VersionSerializer):
    """The changed content: `text` of a reply; `question`, `options`, `right` and `explanation` of a quiz question."""

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
    troubled = serializers.IntegerField(help_text="How many of the questions were not answered well.")
    learners = serializers.IntegerField(allow_null=True, help_text="null if there are too few to tell.")


class OpenQuestionSerializer(serializers.Serializer[Any]):
    questionId = serializers.IntegerField(source="question_id")
    text = serializers.CharField(help_text="Without names, addresses and numbers.")
    trouble = serializers.ChoiceField(get_args(Trouble))
    askedOn = serializers.DateField(source="asked_on")


class InsightsSerializer(serializers.Serializer[Insights]):
    """What learners of the course asked recently, without names."""

    days = serializers.IntegerField()
    questions = serializers.IntegerField()
    learners = serializers.IntegerField(allow_null=True, help_text="null if there are too few to tell.")
    troubles = serializers.DictField(child=serializers.IntegerField())
    themes = ThemeSerializer(many=True)
    open = OpenQuestionSerializer(many=True)
    withheld = serializers.IntegerField(help_text="Number of open questions whose text could identify the learner.")


class ThreadMessageSerializer(serializers.Serializer[Any]):
    role = serializers.CharField()
    text = serializers.CharField()
    createdAt = serializers.DateTimeField(source="created_at")


class ThreadSerializer(serializers.Serializer[Any]):
    learner = serializers.CharField(source="owner.get_username")
    name = serializers.CharField(source="owner.get_full_name", allow_blank=True)
    messages = ThreadMessageSerializer(source="messages.all", many=True)
