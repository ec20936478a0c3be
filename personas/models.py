"""Personas and questionnaires, which staff define, and the profile of each learner."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import ExpressionWrapper, Q

from personas.pipeline import UNKNOWN, Versions


class Persona(models.Model):
    key = models.SlugField(
        max_length=40,
        unique=True,
        validators=[RegexValidator(rf"^{UNKNOWN}$", "This key means that no persona fits.", inverse_match=True)],
        help_text="A short identifier. Do not change it once learners have this persona.",
    )
    name = models.CharField(max_length=80, help_text="The name that learners see.")
    description = models.TextField(help_text="Who learns like this. The model and learners read it.")
    tone = models.CharField(max_length=300, help_text="How to talk to them, such as: friendly, plain words, no jargon.")
    pace = models.CharField(max_length=300, help_text="How fast to go, such as: small steps, an example for each.")
    is_active = models.BooleanField(default=True, help_text="Inactive personas are not assigned to learners.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Questionnaire(models.Model):
    """A version of the questionnaire. A draft has no number; a published version is never changed, only superseded."""

    version = models.PositiveIntegerField(null=True, blank=True, unique=True, editable=False)
    title = models.CharField(max_length=120)
    intro = models.TextField(blank=True, help_text="Tells learners in a sentence or two why we ask.")
    published_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = [models.F("version").desc(nulls_first=True)]

    def __str__(self) -> str:
        return f"{self.title}, version {self.version}" if self.version else f"{self.title}, draft"


class Question(models.Model):
    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="questions")
    position = models.PositiveSmallIntegerField(default=0)
    key = models.SlugField(max_length=40, help_text="A short identifier, such as: time-a-week.")
    text = models.CharField(max_length=300)
    options = models.TextField(blank=True, help_text="One answer per line to choose from. Empty: free text.")
    is_required = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "pk"]
        constraints = [models.UniqueConstraint(fields=["questionnaire", "key"], name="question_key_in_questionnaire")]

    def __str__(self) -> str:
        return self.text

    @property
    def choices(self) -> list[str]:
        """The answers to choose from; empty for free text."""
        return [line.strip() for line in self.options.splitlines() if line.strip()]


class ProfileQuerySet(models.QuerySet["Profile"]):
    def stale(self, now: Versions) -> ProfileQuerySet:
        """Profiles that the model classified with other versions than `now`. A person's decision is never stale."""
        return self.filter(_is_stale(now))

    def with_staleness(self, now: Versions) -> ProfileQuerySet:
        """Annotate each profile with `stale`."""
        return self.annotate(stale=ExpressionWrapper(_is_stale(now), models.BooleanField()))


class Profile(models.Model):
    """A learner's answers and persona. Without a persona it is unknown, or not yet classified (no `classified_at`)."""

    class Source(models.TextChoices):
        MODEL = "model"
        STAFF = "staff"
        LEARNER = "learner"

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="learning_profile")
    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.PROTECT, related_name="profiles")
    answers = models.JSONField(help_text="[{key, question, answer}], with the original text of the question.")
    persona = models.ForeignKey(Persona, null=True, blank=True, on_delete=models.SET_NULL, related_name="profiles")
    confidence = models.FloatField(null=True, blank=True, help_text="0 to 1. Empty: decided by a person.")
    reasons = models.JSONField(default=list, blank=True, help_text="[{question, quote, meaning}]")
    source = models.CharField(max_length=10, choices=Source, default=Source.MODEL, help_text="Who decided.")
    personas_version = models.CharField(max_length=16, blank=True)
    prompt_version = models.CharField(max_length=16, blank=True)
    model = models.CharField(max_length=80, blank=True)
    revision = models.PositiveIntegerField(
        default=1, help_text="Increases with every change by a person; discards classifications that started before."
    )
    classified_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ProfileQuerySet.as_manager()

    class Meta:
        verbose_name = "learning profile"

    def __str__(self) -> str:
        return f"learning profile {self.pk}"

    @property
    def subject(self) -> str:
        """The subject of this profile's jobs."""
        return subject_of(self.user_id)

    @property
    def payload(self) -> dict[str, int]:
        """The payload of a job that classifies this revision of the profile."""
        return {"profileId": self.pk, "revision": self.revision}


def _is_stale(now: Versions) -> Q:
    fresh = Q(personas_version=now.personas, prompt_version=now.prompt, model=now.model)
    return ~fresh & Q(source=Profile.Source.MODEL)


def subject_of(user_id: int) -> str:
    """Return the subject of jobs about this user's profile, which need not exist."""
    return f"learner:{user_id}"
