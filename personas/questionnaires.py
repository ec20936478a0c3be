"""The questionnaire's versions: a draft is published, and then never changed; the next one begins as its copy."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from config import sql
from personas.models import Question, Questionnaire


class NotPublishable(Exception):
    """Said to staff: why this one cannot be published."""


def current() -> Questionnaire | None:
    """The version that learners are asked; None before the first is published."""
    return Questionnaire.objects.filter(version__isnull=False).order_by("-version").first()


def publish(draft: Questionnaire) -> None:
    """Make a draft the current version. NotPublishable if it is none, or asks nothing."""
    with transaction.atomic():
        sql.lock("personas.questionnaires")  # one publication at a time
        draft.refresh_from_db()
        if draft.version:
            raise NotPublishable("It is published already.")
        if not draft.questions.exists():
            raise NotPublishable("It has no questions yet.")
        newest: int = Questionnaire.objects.aggregate(newest=Max("version"))["newest"] or 0
        draft.version, draft.published_at = newest + 1, timezone.now()
        draft.save()


def copy(questionnaire: Questionnaire) -> Questionnaire:
    """A new draft with the same questions."""
    with transaction.atomic():
        draft = Questionnaire.objects.create(title=questionnaire.title, intro=questionnaire.intro)
        for question in questionnaire.questions.all():
            question.pk, question.questionnaire = None, draft
            question.save(force_insert=True)
    return draft


def check(questions: list[Question], answers: dict[str, str]) -> dict[str, str]:
    """What is wrong with these answers: {question's key: why}; empty if nothing is."""
    known = {question.key: question for question in questions}
    wrong = dict.fromkeys(answers.keys() - known.keys(), "There is no such question.")
    for key, question in known.items():
        given = answers.get(key, "")
        if not given and question.is_required:
            wrong[key] = "Please answer this question."
        elif given and question.choices and given not in question.choices:
            wrong[key] = "Please choose one of the answers."
    return wrong
