"""Drafts that the copilot wrote for the tutors of a course. Nothing publishes them automatically."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from conversations.models import Message
from courses.models import Course
from jobs.models import AiJob


class DraftQuerySet(models.QuerySet["Draft"]):
    def for_tutor(self, user: Any) -> DraftQuerySet:
        """Drafts of the courses that this user teaches; a course's tutors share them."""
        return self.filter(course__tutors=user)


class Draft(models.Model):
    """A reply to a learner or a quiz question, for tutors to edit, regenerate, accept or discard."""

    class Kind(models.TextChoices):
        REPLY = "reply"
        QUIZ_QUESTION = "quiz_question"

    class State(models.TextChoices):
        DRAFT = "draft"
        ACCEPTED = "accepted"
        DISCARDED = "discarded"

    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="drafts")
    kind = models.CharField(max_length=20, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    content = models.JSONField(help_text="A tutors.content.Reply or QuizQuestion.")
    version = models.PositiveIntegerField(default=1, help_text="Increases with every change: the fence of edits.")
    is_edited = models.BooleanField(default=False, help_text="A tutor has edited the content.")
    instruction = models.CharField(max_length=500, blank=True, help_text="What the latest rewrite should change.")
    # Deleting a learner's question also deletes the drafts that quote it.
    question = models.ForeignKey(
        Message,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="The question of a reply.",
    )
    job = models.ForeignKey(
        AiJob, null=True, on_delete=models.SET_NULL, related_name="+", help_text="The job that created the draft."
    )
    written_by = models.ForeignKey(
        AiJob,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The job of the latest rewrite.",
    )
    position = models.PositiveSmallIntegerField(help_text="Position among the drafts of one request.")
    created_at = models.DateTimeField(default=timezone.now, help_text="Equal for the drafts of one request.")
    updated_at = models.DateTimeField(auto_now=True)

    objects = DraftQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "position"]
        permissions = [("open_learner_thread", "Can open what a learner of a taught course asked, with the name")]
        constraints = [models.UniqueConstraint(fields=["job", "position"], name="one_draft_per_job_and_position")]
        indexes = [
            models.Index(fields=["course", "state", "-created_at"], name="drafts_of_course"),
            models.Index(fields=["-created_at"], name="newest_drafts"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} draft {self.pk}"

    @property
    def subject(self) -> str:
        """The subject of this draft's jobs."""
        return f"draft:{self.pk}"
