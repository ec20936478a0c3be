"""The AiJob row is the truth about a piece of AI work; AiCall says what each upstream request cost."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.people import Person, owned_by
from config import staff

# What staff need for other people's jobs, in the admin and everywhere else (config/staff.py).
CHANGING_JOBS = "jobs.change_aijob"
SEEING_JOBS = ("jobs.view_aijob", CHANGING_JOBS)
READING_TEXT = "jobs.read_text"


class AiJobQuerySet(models.QuerySet["AiJob"]):
    def of(self, person: Person) -> AiJobQuerySet:
        """Jobs that belong to this person."""
        return self.filter(owned_by(person))

    def visible_to(self, person: Person) -> AiJobQuerySet:
        """Jobs this person may look at: their own, and everybody's for staff who may view jobs or read their text."""
        user = staff.member(person.user_id) if person.is_staff else None
        return self.all() if user and staff.may(user, *SEEING_JOBS, READING_TEXT) else self.of(person)

    def active(self) -> AiJobQuerySet:
        return self.filter(status__in=AiJob.ACTIVE)


class AiJob(models.Model):
    """One piece of AI work. Only jobs/lifecycle/transitions.py changes `status`, `attempt` and the lease."""

    class Status(models.TextChoices):
        PENDING = "pending"
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ACTIVE = (Status.PENDING, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40)
    queue = models.CharField(max_length=20)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="ai_jobs"
    )
    visitor = models.CharField(max_length=32, blank=True, help_text="An anonymous visitor's id, where no user owns it.")
    subject = models.CharField(
        max_length=80, blank=True, help_text="What the job is about. One active job per kind and subject."
    )
    payload = models.JSONField(default=dict, help_text="Ids of what to work on, never the person's text.")
    result = models.JSONField(null=True, blank=True)

    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    attempt = models.PositiveIntegerField(default=0, help_text="Runs so far. Every write of a run carries it.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Runs that ended with a passing failure.")
    crashes = models.PositiveSmallIntegerField(default=0, help_text="Runs whose worker vanished.")
    max_attempts = models.PositiveSmallIntegerField(default=5, help_text="Failures after which it is given up.")
    cancel_requested = models.BooleanField(default=False)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True, help_text="What the person is told.")
    error_detail = models.TextField(blank=True, help_text="What staff need to know. Never carries secrets.")
    retryable = models.BooleanField(default=False, help_text="Whether asking again may help.")
    waits_for = models.CharField(
        max_length=120,
        blank=True,
        default="",
        db_default="",
        help_text="The model whose circuit breaker held the last attempt back.",
    )
    is_erased = models.BooleanField(default=False, help_text="Its text was deleted for good.")
    history = models.JSONField(default=list, help_text="What became of each attempt.")
    uncounted = models.PositiveSmallIntegerField(
        default=0, help_text="The newest entries of the history that are not in the totals yet."
    )

    worker = models.CharField(max_length=80, blank=True)
    run_after = models.DateTimeField(null=True, blank=True, help_text="Not to be run before.")
    enqueued_at = models.DateTimeField(null=True, blank=True, help_text="When it was last handed to Redis.")
    lease_until = models.DateTimeField(null=True, blank=True, help_text="The worker has been lost if this passes.")
    created_at = models.DateTimeField(auto_now_add=True)
    asked_at = models.DateTimeField(null=True, blank=True, help_text="When it was submitted, or last retried.")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    idempotency_key = models.CharField(max_length=255, null=True, blank=True)
    request_hash = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True, help_text="Of the call that asked for it, as in the logs.")

    objects = AiJobQuerySet.as_manager()

    claimed: float | None = None  # when this process claimed it, by time.monotonic(); not a column

    class Meta:
        verbose_name = "AI job"
        ordering = ["-created_at"]
        permissions = [("read_text", "Can read people's questions and answers")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=Q(status__in=["pending", "running"]) & ~Q(subject=""),
                name="one_active_job_per_subject",
            ),
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="idempotency_key_per_owner",
            ),
            models.UniqueConstraint(
                fields=["visitor", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False) & ~Q(visitor=""),
                name="idempotency_key_per_visitor",
            ),
        ]
        indexes = [
            models.Index(fields=["run_after"], condition=Q(status="pending"), name="pending_by_run_after"),
            models.Index(fields=["lease_until"], condition=Q(status="running"), name="running_by_lease"),
            models.Index(fields=["-created_at"], name="newest_jobs"),
            models.Index(fields=["id"], condition=Q(uncounted__gt=0), name="uncounted_jobs"),
            models.Index(fields=["owner"], condition=Q(status__in=["pending", "running"]), name="active_jobs_of_owner"),
            models.Index(fields=["visitor"], opclasses=["varchar_pattern_ops"], name="jobs_of_visitor"),
            models.Index(fields=["subject"], name="jobs_of_subject"),
            # For the lists of the admin.
            models.Index(fields=["kind", "-created_at"], name="jobs_of_kind"),
            models.Index(fields=["request_id"], name="jobs_of_request"),
            models.Index(
                fields=["status", "-created_at"],
                condition=Q(status__in=["failed", "cancelled"]),
                name="badly_ended_jobs",
            ),
            models.Index(fields=["error_code", "-created_at"], condition=~Q(error_code=""), name="jobs_with_an_error"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    def belongs_to(self, person: Person) -> bool:
        """Whether this person asked for it. Staff may look at other people's, too."""
        return self.owner_id == person.user_id if person.user_id is not None else self.visitor == person.visitor

    @property
    def person(self) -> Person:
        """Who asked for it."""
        return Person(user_id=self.owner_id, visitor=self.visitor)

    @property
    def is_final(self) -> bool:
        return self.status not in self.ACTIVE

    @property
    def error(self) -> dict[str, str] | None:
        """Why it failed, or why it waits to be tried again, as {code, message} on the wire."""
        return {"code": self.error_code, "message": self.error_message} if self.error_code else None

    @property
    def log_fields(self) -> dict[str, Any]:
        """What every log line about this job says."""
        return {"job_id": str(self.pk), "kind": self.kind, "attempt": self.attempt, "request_id": self.request_id}

    @property
    def rq_id(self) -> str:
        """The id of the queue entry for the next run: unique, so that a doubled enqueue is refused."""
        return f"{self.id}-{self.attempt + 1}"


class AiCall(models.Model):
    """One request to the upstream, kept whether it succeeded, failed or was cut short."""

    class Outcome(models.TextChoices):
        OK = "ok"
        FAILED = "failed"
        CANCELLED = "cancelled"

    job = models.ForeignKey(AiJob, on_delete=models.CASCADE, related_name="calls")
    attempt = models.PositiveIntegerField()
    purpose = models.CharField(max_length=40)
    model = models.CharField(max_length=80)
    outcome = models.CharField(max_length=10, choices=Outcome)
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.TextField(blank=True)
    upstream_id = models.CharField(max_length=80, blank=True, help_text="The upstream's x-request-id.")
    input_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    estimated = models.BooleanField(default=False, help_text="The upstream reported no usage; tokens are our estimate.")
    cost = models.DecimalField(
        max_digits=14,
        decimal_places=8,
        null=True,
        blank=True,
        help_text="US dollars; empty where no price is known.",
    )
    governor_ms = models.PositiveIntegerField(default=0, help_text="Waited for the upstream's rate before the call.")
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    is_counted = models.BooleanField(default=False, help_text="It is in the totals.")

    class Meta:
        verbose_name = "upstream call"
        ordering = ["started_at"]
        indexes = [models.Index(fields=["id"], condition=Q(is_counted=False), name="uncounted_calls")]

    def __str__(self) -> str:
        return f"{self.purpose} {self.model}"


class Reading(models.Model):
    """Somebody of the staff opened what a person and the AI said to each other (jobs/disclosure.py). Only added to."""

    reader = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="readings")
    reader_name = models.CharField(max_length=150, help_text="It stays when the account goes.")
    what = models.CharField(max_length=80, help_text="The job or conversation, by its id.")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["-at"], name="newest_readings"),
            models.Index(fields=["reader_name"], opclasses=["varchar_pattern_ops"], name="readings_by_reader"),
            models.Index(fields=["what"], opclasses=["varchar_pattern_ops"], name="readings_of_what"),
        ]

    def __str__(self) -> str:
        return f"{self.reader_name} read {self.what}"


class Spent(models.Model):
    """What the calls of a day (UTC) used, in all and by person and kind: what budgets are checked against.

    A trigger on AiCall adds to it (migration 0007), whoever inserts a call. Nothing is taken away when calls are
    deleted.
    """

    day = models.DateField()
    scope = models.CharField(max_length=60, help_text="Whose calls: see Spent.by.")
    tokens = models.BigIntegerField()
    dollars = models.DecimalField(max_digits=18, decimal_places=8)

    ALL = "all"

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "scope"], name="one_sum_per_day_and_scope")]

    def __str__(self) -> str:
        return f"{self.scope} on {self.day}"

    @staticmethod
    def by(person: Person) -> str:
        """The scope of this person's calls."""
        return f"owner:{person.user_id}" if person.user_id is not None else f"visitor:{person.visitor}"

    @staticmethod
    def of_kind(kind: str) -> str:
        """The scope of the calls of this kind of job."""
        return f"kind:{kind}"


class Total(models.Model):
    """A running total for /metrics. It only grows, also when the rows it counted are deleted (monitoring/totals.py)."""

    name = models.CharField(max_length=60)
    labels = ArrayField(models.TextField())
    value = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="one_total_per_name_and_labels")]

    def __str__(self) -> str:
        return f"{self.name} {self.labels}"
