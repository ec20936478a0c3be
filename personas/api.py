"""Personas over HTTP: the questionnaire, the personas to choose from, and the learner's own profile."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import people
from config.errors import Problem
from jobs.accept import IDEMPOTENCY_KEY, accept, responses
from jobs.models import AiJob
from jobs.submission import Submission
from personas import actions, questionnaires
from personas.kinds import PROFILE
from personas.models import Persona, Profile, Questionnaire
from personas.pipeline import UNKNOWN
from personas.serializers import (
    AnswersSerializer,
    CorrectionSerializer,
    PersonasSerializer,
    ProfileSerializer,
    QuestionnaireSerializer,
    persona_as_wire,
    profile_as_wire,
    questionnaire_as_wire,
)

NO_PROFILE = Problem(404, "not_found", "There is no learning profile yet.")


class QuestionnaireView(APIView):
    @extend_schema(responses=QuestionnaireSerializer)
    def get(self, request: Request) -> Response:
        """Get the questions that `POST /api/personas/profile` answers."""
        return Response(questionnaire_as_wire(_questionnaire()))


class PersonasView(APIView):
    @extend_schema(responses=PersonasSerializer)
    def get(self, request: Request) -> Response:
        """List the personas that a learner may choose from."""
        active = Persona.objects.filter(is_active=True)
        return Response({"results": [persona_as_wire(persona) for persona in active], "next": None})


class ProfileView(APIView):
    @extend_schema(responses=ProfileSerializer)
    def get(self, request: Request) -> Response:
        """Get the caller's profile: answers, persona and reasons. It may change when the job `activeJobId` ends."""
        return Response(_as_wire(_profile(request)))

    @extend_schema(request=AnswersSerializer, responses=responses(), parameters=[IDEMPOTENCY_KEY])
    def post(self, request: Request) -> Response:
        """Answer the questionnaire. A worker finds the persona; follow the job, then read the profile."""
        body = AnswersSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        answers: dict[str, str] = body.validated_data["answers"]
        questionnaire = _questionnaire()
        recorded = _recorded(questionnaire, answers)

        def create(submission: Submission) -> AiJob:
            return actions.answer(submission, questionnaire, recorded)

        return accept(request, body.validated_data, PROFILE, create)

    @extend_schema(request=CorrectionSerializer, responses=ProfileSerializer)
    def patch(self, request: Request) -> Response:
        """Set one's own persona, or "unknown" for none. It stays until the learner answers again."""
        body = CorrectionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        profile = _profile(request)
        actions.decide(profile, _persona(body.validated_data["personaId"]), Profile.Source.LEARNER)
        return Response(_as_wire(profile))

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        """Delete the profile with all answers, and cancel its active jobs."""
        if not actions.delete(_user_id(request)):
            raise NO_PROFILE
        return Response(status=204)


def _user_id(request: Request) -> int:
    person = people.from_request(request)
    assert person is not None and person.user_id is not None, "the view's permissions let only users through"
    return person.user_id


def _profile(request: Request) -> Profile:
    found = Profile.objects.select_related("persona", "questionnaire").filter(user_id=_user_id(request)).first()
    if found is None:
        raise NO_PROFILE
    return found


def _questionnaire() -> Questionnaire:
    found = questionnaires.current()
    if found is None:
        raise Problem(404, "not_found", "There is no questionnaire yet.")
    return found


def _persona(key: str) -> Persona | None:
    if key == UNKNOWN:
        return None
    found = Persona.objects.filter(key=key, is_active=True).first()
    if found is None:
        raise serializers.ValidationError({"personaId": ["There is no such persona."]})
    return found


def _recorded(questionnaire: Questionnaire, answers: dict[str, str]) -> list[dict[str, str]]:
    """Return the answers in the order of the questions, each with the text of its question, which may change later."""
    questions = list(questionnaire.questions.all())
    if wrong := questionnaires.check(questions, answers):
        raise serializers.ValidationError({"answers": {key: [why] for key, why in wrong.items()}})
    given = [question for question in questions if answers.get(question.key)]
    return [{"key": q.key, "question": q.text, "answer": answers[q.key]} for q in given]


def _as_wire(profile: Profile) -> dict[str, Any]:
    active = AiJob.objects.active().filter(kind=PROFILE.name, subject=profile.subject).first()
    newest = cast(Questionnaire, questionnaires.current())
    return profile_as_wire(profile, str(active.pk) if active else None, newest.pk == profile.questionnaire_id)
