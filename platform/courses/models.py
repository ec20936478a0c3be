"""Courses, lessons, enrolments, and the passages that answers cite."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import Exists, OuterRef
from pgvector.django import VectorField

from config import staff

EMBEDDING_DIMENSIONS = 1536


class CourseQuerySet(models.QuerySet["Course"]):
    def for_user(self, user: Any) -> CourseQuerySet:
        """Courses that this user may open: all for staff who may view courses, else those of a learner or tutor."""
        if staff.may_view(user, "courses.course"):
            return self
        # Not by joins, which would read all learners of each course.
        enrolled = Enrollment.objects.filter(course=OuterRef("pk"), user=user.pk)
        taught = Course.tutors.through.objects.filter(course=OuterRef("pk"), user=user.pk)
        return self.filter(Exists(enrolled) | Exists(taught))


class Course(models.Model):
    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=200)
    summary = models.TextField(blank=True)
    tutors = models.ManyToManyField(User, related_name="taught_courses", blank=True)

    objects = CourseQuerySet.as_manager()

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    def is_taught_by(self, user: Any) -> bool:
        """Return whether this user is one of the course's tutors."""
        return self.tutors.filter(pk=user.pk).exists()


class Lesson(models.Model):
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="lessons")
    slug = models.SlugField(max_length=100)
    position = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    body = models.TextField(help_text="Markdown.")

    class Meta:
        ordering = ["course", "position"]
        constraints = [models.UniqueConstraint(fields=["course", "slug"], name="lesson_slug_in_course")]

    def __str__(self) -> str:
        return self.title


class Enrollment(models.Model):
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="enrollments")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="enrollments")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["course", "user"], name="one_enrollment_per_course")]

    def __str__(self) -> str:
        return f"{self.user} in {self.course}"


class Passage(models.Model):
    """A retrievable piece of a lesson. Without an embedding, only full-text search finds it."""

    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="passages")
    lesson = models.ForeignKey(Lesson, on_delete=models.CASCADE, related_name="passages")
    position = models.PositiveIntegerField()
    heading = models.CharField(max_length=500, blank=True, help_text='Path of headings: "Joins > LEFT JOIN".')
    text = models.TextField()
    content_hash = models.CharField(max_length=64)
    embedding = VectorField(dimensions=EMBEDDING_DIMENSIONS, null=True)
    embedding_problem = models.CharField(
        max_length=300,
        blank=True,
        default="",
        db_default="",  # so that the previous release can still insert rows
        help_text="Why it has no embedding, if the embedding model rejected it.",
    )
    words = models.GeneratedField(
        expression=SearchVector("heading", "text", config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        ordering = ["lesson", "position"]
        indexes = [GinIndex(fields=["words"], name="passage_words")]

    def __str__(self) -> str:
        return f"{self.lesson}: {self.heading}"

    @property
    def embeddable(self) -> str:
        """The text to embed, including lesson title and headings, which contribute to its meaning."""
        return f"{self.lesson.title} > {self.heading}\n{self.text}"
