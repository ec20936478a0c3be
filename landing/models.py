"""The site's content (offers, FAQ, pages), visitors' messages to staff, and counters for limits."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.core.validators import MinValueValidator
from django.db import models
from django.urls import reverse

from conversations.models import Conversation
from courses.models import Course

QUOTABLE = "Markdown. {{price:…}}, {{start:…}} and {{seats:…}} with a course's slug are filled in from its offer."


class CourseOffer(models.Model):
    """A course as it is sold: the only source of prices, dates and seats for pages and the assistant."""

    course = models.OneToOneField(Course, on_delete=models.CASCADE, related_name="offer")
    price = models.DecimalField(max_digits=9, decimal_places=2, validators=[MinValueValidator(0)])
    currency = models.CharField(max_length=3, default="EUR", help_text="ISO code: EUR, USD, GBP, CHF, ...")
    starts_on = models.DateField(null=True, blank=True, help_text="Empty: it can be started at any time.")
    seats = models.PositiveIntegerField(null=True, blank=True, help_text="Free seats; empty: no limit.")
    is_published = models.BooleanField(default=True)

    class Meta:
        ordering = ["course__title"]

    def __str__(self) -> str:
        return f"offer of {self.course}"


class FaqEntry(models.Model):
    """A frequently asked question and its answer."""

    question = models.CharField(max_length=200)
    answer = models.TextField(help_text=QUOTABLE)
    position = models.PositiveIntegerField(default=0)
    is_published = models.BooleanField(default=True)

    class Meta:
        verbose_name = "FAQ entry"
        verbose_name_plural = "FAQ entries"
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.question


class SitePage(models.Model):
    """A page of the site, such as the terms of cancellation."""

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=200)
    body = models.TextField(help_text=QUOTABLE)
    position = models.PositiveIntegerField(default=0)
    is_published = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Where visitors read it."""
        return reverse("landing:page", args=[self.slug])


class ContactRequest(models.Model):
    """A visitor's message to staff, with the conversation that led to it."""

    conversation = models.ForeignKey(
        Conversation, null=True, blank=True, on_delete=models.SET_NULL, related_name="contact_requests"
    )
    name = models.CharField(max_length=100, blank=True)
    email = models.EmailField()
    message = models.TextField()
    is_answered = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["is_answered", "-created_at"]
        indexes = [
            models.Index(fields=["is_answered", "-created_at"], name="requests_to_answer"),
            GinIndex(SearchVector("email", "name", "message", config="simple"), name="words_of_requests"),
        ]

    def __str__(self) -> str:
        return f"message of {self.email}"


class Counter(models.Model):
    """The number of uses in the hour that ends at `until`. Names are hashed, so no addresses are stored."""

    name = models.CharField(max_length=64)
    until = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "until"], name="one_counter_per_name_and_hour")]
        indexes = [models.Index(fields=["until"], name="counters_by_end")]

    def __str__(self) -> str:
        return f"{self.name} {self.count}"
