"""Personas in the API's format."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from personas.models import Persona, Profile, Questionnaire
from personas.pipeline import UNKNOWN

MAX_ANSWER_CHARS = 1000
MAX_KEY_CHARS = 40


class QuestionSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    text = serializers.CharField()
    options = serializers.ListField(child=serializers.CharField(), help_text="Empty: free text.")
    isRequired = serializers.BooleanField()


class QuestionnaireSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    title = serializers.CharField()
    intro = serializers.CharField(allow_blank=True)
    questions = QuestionSerializer(many=True)


class PersonaSerializer(serializers.Serializer[Any]):
    personaId = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    tone = serializers.CharField(help_text="How the assistant talks to learners with this persona.")
    pace = serializers.CharField()


class PersonasSerializer(serializers.Serializer[Any]):
    results = PersonaSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class AnswersSerializer(serializers.Serializer[Any]):
    answers = serializers.DictField(
        child=serializers.CharField(max_length=MAX_ANSWER_CHARS, allow_blank=True),
        help_text="Answers by question key.",
    )


class CorrectionSerializer(serializers.Serializer[Any]):
    personaId = serializers.CharField(max_length=MAX_KEY_CHARS, help_text='A persona\'s id, or "unknown" for none.')


class ReasonSerializer(serializers.Serializer[Any]):
    question = serializers.CharField()
    quote = serializers.CharField(help_text="The learner's own words from the answer to this question.")
    meaning = serializers.CharField()


class AnsweredSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    question = serializers.CharField(help_text="The original text of the question.")
    answer = serializers.CharField()


class ProfileSerializer(serializers.Serializer[Any]):
    personaId = serializers.CharField(allow_null=True, help_text='null: not classified yet; "unknown": none fits.')
    persona = PersonaSerializer(allow_null=True)
    confidence = serializers.FloatField(allow_null=True, help_text="0 to 1; null where a person decided.")
    reasons = ReasonSerializer(many=True)
    decidedBy = serializers.ChoiceField(Profile.Source.choices)
    answers = AnsweredSerializer(many=True)
    questionnaireVersion = serializers.IntegerField()
    isCurrent = serializers.BooleanField(help_text="Whether the answers belong to the current questionnaire.")
    updatedAt = serializers.DateTimeField()
    activeJobId = serializers.UUIDField(allow_null=True)


def questionnaire_as_wire(questionnaire: Questionnaire) -> dict[str, Any]:
    """Return the questionnaire with its questions in order."""
    questions = questionnaire.questions.all()
    return {
        "version": questionnaire.version,
        "title": questionnaire.title,
        "intro": questionnaire.intro,
        "questions": [
            {"key": q.key, "text": q.text, "options": q.choices, "isRequired": q.is_required} for q in questions
        ],
    }


def persona_as_wire(persona: Persona) -> dict[str, Any]:
    """Return a persona as learners see it."""
    return {
        "personaId": persona.key,
        "name": persona.name,
        "description": persona.description,
        "tone": persona.tone,
        "pace": persona.pace,
    }


def profile_as_wire(profile: Profile, active_job_id: str | None, is_current: bool) -> dict[str, Any]:
    """Return the profile as its learner sees it."""
    persona = profile.persona
    none = UNKNOWN if profile.classified_at else None
    return {
        "personaId": persona.key if persona else none,
        "persona": persona_as_wire(persona) if persona else None,
        "confidence": profile.confidence,
        "reasons": profile.reasons,
        "decidedBy": profile.source,
        "answers": profile.answers,
        "questionnaireVersion": profile.questionnaire.version,
        "isCurrent": is_current,
        "updatedAt": profile.updated_at,
        "activeJobId": active_job_id,
    }
