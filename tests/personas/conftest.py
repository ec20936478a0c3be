"""The demo's questionnaire and personas, learners with answers, and their jobs run in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from devstack.demo import personas as demo
from jobs.models import AiJob
from personas import questionnaires
from personas.models import Persona, Profile, Questionnaire
from tests.support import perform, unique

MAKER = {
    "goal": "I want to build small projects with my own data.",
    "way": "I try it out at once, and learn from examples and mistakes",
    "time": "One to three hours",
    "before": "Nothing much, I learn by practice rather than theory.",
}


@pytest.fixture(autouse=True)
def personas(_database) -> Iterator[None]:
    """The demo's questionnaire and personas; changes of the test are undone."""
    demo.load()
    kept = {"questionnaires": set(_ids(Questionnaire)), "personas": list(Persona.objects.all())}
    yield
    Profile.objects.all().delete()
    Questionnaire.objects.exclude(pk__in=kept["questionnaires"]).delete()
    Persona.objects.exclude(pk__in=[persona.pk for persona in kept["personas"]]).delete()
    for persona in kept["personas"]:
        persona.save()


@pytest.fixture
def profile(learner: User) -> Profile:
    """A profile with the learner's answers, not classified yet."""
    return new_profile(learner)


def new_profile(user: User | None = None, answers: dict[str, str] = MAKER, **fields: Any) -> Profile:
    user = user or User.objects.create(username=unique("test-learner"))
    recorded = [{"key": key, "question": f"What about {key}?", "answer": text} for key, text in answers.items()]
    return Profile.objects.create(user=user, questionnaire=questionnaires.current(), answers=recorded, **fields)


def run(job: AiJob) -> AiJob:
    """Run one attempt of the job in this process."""
    perform(job.pk)
    return AiJob.objects.get(pk=job.pk)


def _ids(model: Any) -> Any:
    return model.objects.values_list("pk", flat=True)
