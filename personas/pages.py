"""The learner's page. What is known of them is shown and changed by static/personas/profile.js and the API."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from personas import questionnaires
from personas.models import Persona
from personas.serializers import MAX_ANSWER_CHARS


@login_required
def learning_profile(request: HttpRequest) -> HttpResponse:
    """The questionnaire to fill in, and what came of it."""
    questionnaire = questionnaires.current()
    context = {
        "questionnaire": questionnaire,
        "questions": questionnaire.questions.all() if questionnaire else [],
        "personas": Persona.objects.filter(is_active=True),
        "max_answer": MAX_ANSWER_CHARS,
    }
    return render(request, "personas/profile.html", context)
