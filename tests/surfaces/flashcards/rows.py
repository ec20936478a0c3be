"""Database access of the job: loads the lesson, saves the cards."""

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
    """Return the title and the passages of this job's lesson.

    Raises Refusal if the learner may no longer open it: the job may have waited, or be a retry.
    """
    courses = Course.objects.for_user(User.objects.get(pk=job.owner_id))
    lesson = Lesson.objects.filter(pk=job.payload["lessonId"], course__in=courses).first()
    if lesson is None:
        raise Refusal("not_enrolled", "You are no longer enrolled in this course.")
    return lesson.title, found(search.fitting_in(search.of_lesson(lesson.pk), LESSON_CHARS))


def save(job: AiJob, result: dict[str, Any]) -> dict[str, Any]:
    """Replace the learner's cards on this lesson; return their number for the job's row."""
    lesson_id = job.payload["lessonId"]
    Flashcard.objects.filter(owner=job.owner_id, lesson=lesson_id).delete()
    Flashcard.objects.bulk_create(
        Flashcard(owner_id=job.owner_id, lesson_id=lesson_id, job=job, position=position, **card)
        for position, card in enumerate(result["cards"])
    )
    return {"lessonId": lesson_id, "count": len(result["cards"])}
