"""Filters of the admin's list of jobs that offer their choices without reading a million rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from jobs import kinds
from jobs.models import AiJob


class _ValueFilter(SimpleListFilter):
    """Jobs of one value of the field that `parameter_name` names."""

    def values(self) -> Iterable[str]:
        """The choices."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AiJob]) -> QuerySet[AiJob]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class KindFilter(_ValueFilter):
    title = parameter_name = "kind"

    def values(self) -> Iterable[str]:
        return kinds.names()


class QueueFilter(_ValueFilter):
    title = parameter_name = "queue"

    def values(self) -> Iterable[str]:
        return settings.JOBS_QUEUES


class ErrorFilter(_ValueFilter):
    title, parameter_name = "error code", "error_code"

    def values(self) -> Iterable[str]:
        failed = AiJob.objects.exclude(error_code="").order_by("error_code")
        return failed.values_list("error_code", flat=True).distinct()
