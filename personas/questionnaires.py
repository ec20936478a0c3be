"""Versions of the questionnaire: publishing a draft makes it immutable; a new draft starts as a copy."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from config import sql
from personas.models import Question, Questionnaire


class NotPublishable(Exception):
    """The questionnaire cannot be published; the message tells staff why."""


def current() -> Questionnaire | None:
    """Return the version that learners answer; None if none is published."""
    return Questionnaire.objects.filter(version__isnull=False).order_by("-version").first()


def publish(draft: Questionnaire) -> None:
    """Make a draft the current version. Raises NotPublishable if it is already published or has no questions."""
    with transaction.atomic():
        sql.lock("personas.questionnaires")  # one publication at a time
        draft.refresh_from_db()
        if draft.version:
            raise NotPublishable("It is already published.")
        if not draft.questions.exists():
            raise NotPublishable("It has no questions yet.")
        newest: int = Questionnaire.objects.aggregate(newest=Max("version"))["newest"] or 0
        draft.version, draft.published_at = newest + 1, timezone.now()
        draft.save()


def copy(questionnaire: Questionnaire) -> Questionnaire:
    """Create a draft with the same questions."""
    with transaction.atomic():
        draft = Questionnaire.objects.create(title=questionnaire.title, intro=questionnaire.intro)
        for question in questionnaire.questions.all():
            question.pk, question.questionnaire = None, draft
            question.save(force_insert=True)
    return draft


def check(questions: list[Question], answers: dict[str, str]) -> dict[str, str]:
    """Validate the answers; return {question key: error}, empty if all are valid."""
    known = {question.key: question for question in questions}
    wrong = dict.fromkeys(answers.keys() - known.keys(), "There is no such question.")
    for key, question in known.items():
        given = answers.get(key, "")
        if not given and question.is_required:
            wrong[key] = "Please answer this question."
        elif given and question.choices and given not in question.choices:
            wrong[key] = "Please choose one of the answers."
    return wrong
