"""The cards that were written for a learner."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from courses.models import Lesson
from jobs.models import AiJob


class Flashcard(models.Model):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="flashcards")
    lesson = models.ForeignKey(Lesson, on_delete=models.CASCADE, related_name="flashcards")
    job = models.ForeignKey(AiJob, null=True, on_delete=models.SET_NULL, related_name="+")
    position = models.PositiveSmallIntegerField()
    front = models.TextField()
    back = models.TextField()

    class Meta:
        ordering = ["position"]
        # The last check for "one result per job", below every other.
        constraints = [models.UniqueConstraint(fields=["job", "position"], name="one_flashcard_per_job_and_position")]

    def __str__(self) -> str:
        return f"flashcard {self.pk}"
