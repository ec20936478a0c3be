"""Conversations between a person and a surface, and their messages."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.people import Person, owned_by
from courses.models import Course
from jobs.models import AiJob


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def of(self, person: Person) -> ConversationQuerySet:
        """Conversations that belong to this person."""
        return self.filter(owned_by(person))


class Conversation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    surface = models.CharField(max_length=20, help_text="The surface of the conversation, such as assistant.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="conversations"
    )
    visitor = models.CharField(max_length=32, blank=True, help_text="The id of its anonymous visitor, if any.")
    course = models.ForeignKey(
        Course,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="conversations",
        help_text="The course it is about.",
    )
    title = models.CharField(max_length=120)
    summary = models.TextField(blank=True, help_text="Covers the messages up to summarised_upto.")
    summarised_upto = models.BigIntegerField(default=0, help_text="Id of the last message that the summary covers.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        ordering = ["-updated_at"]
        indexes = [
            models.Index(fields=["owner", "surface", "course", "-updated_at"], name="conversations_of_owner"),
            models.Index(fields=["visitor"], opclasses=["varchar_pattern_ops"], name="conversations_by_visitor"),
            models.Index(fields=["-updated_at"], name="newest_conversations"),
            models.Index(fields=["surface", "-updated_at"], name="conversations_of_surface"),
            models.Index(fields=["updated_at"], condition=Q(owner__isnull=True), name="visitors_conversations_by_age"),
        ]

    def __str__(self) -> str:
        return f"conversation {self.pk}"

    @property
    def subject(self) -> str:
        """The subject of this conversation's jobs."""
        return f"conversation:{self.pk}"


class Message(models.Model):
    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"

    class Rating(models.TextChoices):
        UP = "up"
        DOWN = "down"

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    role = models.CharField(max_length=10, choices=Role)
    text = models.TextField()
    citations = models.JSONField(default=list, blank=True)
    job = models.ForeignKey(AiJob, null=True, on_delete=models.SET_NULL, related_name="messages")
    rating = models.CharField(
        max_length=4, choices=Rating, blank=True, help_text="What the person thinks of an answer."
    )
    reason = models.CharField(max_length=500, blank=True, help_text="The reason for the rating, in the person's words.")
    suggestions = models.JSONField(default=list, blank=True, help_text="Suggested follow-up questions.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        # The last line of defence for "one answer per question".
        constraints = [models.UniqueConstraint(fields=["job", "role"], name="one_message_per_job_and_role")]
        indexes = [
            models.Index(fields=["-created_at", "-id"], condition=Q(role="user"), name="newest_questions"),
            models.Index(fields=["rating", "-id"], condition=~Q(rating=""), name="rated_answers"),
        ]

    def __str__(self) -> str:
        return f"{self.role} message {self.pk}"
