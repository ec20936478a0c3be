"""The tables behind the job: what it reads, and where its cards go."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from courses import search
from courses.grounding import PromptPassage, found
from courses.models import Course, Lesson
from flashcards.models import Flashcard
from jobs.kinds import Refusal
from jobs.models import AiJob

LESSON_CHARS = 16_000  # about 4,000 tokens


def lesson_of(job: AiJob) -> tuple[str, list[PromptPassage]]:
    """The title and the passages of the lesson that the job is about.

    Raises Refusal when the learner may not open it any more: the job may have waited, or be a retry.
    """
    courses = Course.objects.for_user(User.objects.get(pk=job.owner_id))
    lesson = Lesson.objects.filter(pk=job.payload["lessonId"], course__in=courses).first()
    if lesson is None:
        raise Refusal("not_enrolled", "You are not enrolled in this course any more.")
    return lesson.title, found(search.fitting_in(search.of_lesson(lesson.pk), LESSON_CHARS))


def save(job: AiJob, result: dict[str, Any]) -> dict[str, Any]:
    """Write the cards in place of the learner's earlier ones on the lesson; the job's row keeps their number."""
    lesson_id = job.payload["lessonId"]
    Flashcard.objects.filter(owner=job.owner_id, lesson=lesson_id).delete()
    Flashcard.objects.bulk_create(
        Flashcard(owner_id=job.owner_id, lesson_id=lesson_id, job=job, position=position, **card)
        for position, card in enumerate(result["cards"])
    )
    return {"lessonId": lesson_id, "count": len(result["cards"])}
