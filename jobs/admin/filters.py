"""Filters of the admin's list of jobs that offer their choices without reading a million rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.admin import SimpleListFilter
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest

from config.admin import DayFilter
from jobs import kinds
from jobs.models import AiJob

# The codes that occur, each by one look-up in the index; DISTINCT would read all of it.
_ERROR_CODES = """
WITH RECURSIVE found AS (
    (SELECT error_code FROM jobs_aijob WHERE error_code <> '' ORDER BY error_code LIMIT 1)
    UNION ALL
    SELECT (
        SELECT job.error_code FROM jobs_aijob job
        WHERE job.error_code <> '' AND job.error_code > found.error_code ORDER BY job.error_code LIMIT 1
    )
    FROM found WHERE found.error_code IS NOT NULL
)
SELECT error_code FROM found WHERE error_code IS NOT NULL
"""


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
        with connection.cursor() as cursor:
            cursor.execute(_ERROR_CODES)
            return [code for (code,) in cursor]


class CreatedFilter(DayFilter):
    title, field = "day of creation (UTC)", "created_at"


class ReadFilter(DayFilter):
    title, field = "day of reading (UTC)", "at"
