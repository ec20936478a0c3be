"""The guidance level of each course's assistant."""

from __future__ import annotations

from django.db import models

from courses.models import Course


class Guidance(models.Model):
    """The guidance level that tutors set for a course. Without a row the default applies."""

    class Level(models.TextChoices):
        ANSWERS = "answers", "Answers: full solutions, with an explanation"
        HINTS_FIRST = "hints-first", "Hints first: a full solution only after the learner has tried"
        HINTS_ONLY = "hints-only", "Hints only: never a full solution"

    course = models.OneToOneField(Course, primary_key=True, on_delete=models.CASCADE, related_name="guidance")
    level = models.CharField(max_length=12, choices=Level, default=Level.HINTS_FIRST)

    class Meta:
        verbose_name_plural = "guidance"

    def __str__(self) -> str:
        return f"{self.course}: {self.level}"

    @classmethod
    def of(cls, course: Course) -> Guidance:
        """Return the course's row, or an unsaved one with the default level."""
        return cls.objects.filter(course=course).first() or cls(course=course)
