"""The learner's profile page. static/personas/profile.js loads and changes the profile through the API."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from personas import questionnaires
from personas.models import Persona
from personas.serializers import MAX_ANSWER_CHARS


@login_required
def learning_profile(request: HttpRequest) -> HttpResponse:
    """Show the questionnaire and the learner's profile."""
    questionnaire = questionnaires.current()
    context = {
        "questionnaire": questionnaire,
        "questions": questionnaire.questions.all() if questionnaire else [],
        "personas": Persona.objects.filter(is_active=True),
        "max_answer": MAX_ANSWER_CHARS,
    }
    return render(request, "personas/profile.html", context)
