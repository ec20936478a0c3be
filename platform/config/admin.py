"""Helpers for the admins of all apps."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, cast
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.options import InlineModelAdmin
from django.core.paginator import Paginator
from django.db.models import ForeignKey, Model, Q, QuerySet, UUIDField
from django.http import HttpRequest

MOST_COUNTED = 1000  # rows of a list; there are no pages beyond them
MOST_RELATED = 100  # people whose names begin with a searched term
FEWEST_DIGITS = 4  # of an id, to search by its beginning
DAYS_OFFERED = 14


# What Django's filters put behind the name of a field in the links that they show.
OFFERED = {"", "__exact", "__id__exact", "__pk__exact", "__in", "__isnull", "__isempty", "__gte", "__lt"}


class OfferedLookups:
    """Makes what an admin hides unsearchable."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow only look-ups that the page offers. Django allows any on the model's own fields, also hidden ones."""
        filters = [each[0] if isinstance(each, tuple) else each for each in getattr(self, "list_filter", ())]
        names = [each if isinstance(each, str) else str(each.parameter_name) for each in filters]
        name = next((name for name in (*names, "id", "pk") if lookup == name or lookup.startswith(f"{name}__")), None)
        return name is not None and lookup[len(name) :] in OFFERED


class ReadOnly(OfferedLookups):
    """Makes an admin read-only."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AtLeast(int):
    """A number that is written with a plus: so many, or more."""

    def __str__(self) -> str:
        return f"{int(self)}+"


class BoundedPaginator(Paginator):
    """Counts up to MOST_COUNTED rows: counting a million takes longer than showing a hundred."""

    @cached_property
    def count(self) -> int:
        rows = cast(QuerySet[Any], self.object_list)
        counted = rows.values("pk")[: MOST_COUNTED + 1].count()
        return counted if counted <= MOST_COUNTED else AtLeast(MOST_COUNTED)


class LargeTableAdmin(OfferedLookups, admin.ModelAdmin):
    """An admin whose list is fit for a table of millions of rows: it reads few more than it shows.

    An index must serve the ordering, each filter and each of `search_fields`. These are look-ups of the whole term:
    `field__exact`, `field__startswith`, the same of a related row, or the name of a UUID field for how it begins.
    """

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count all rows for each choice
    sortable_by: ClassVar[tuple[str, ...]] = ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows that one of `search_fields` finds."""
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        found = Q(pk__in=[])
        for condition in self._conditions(term):
            found |= condition
        return queryset.filter(found), False

    def _conditions(self, term: str) -> Iterator[Q]:
        for lookup in self.search_fields:
            name, _, rest = lookup.partition("__")
            field = self.model._meta.get_field(name)
            if isinstance(field, UUIDField):
                yield from _beginning_of_id(name, term)
            elif isinstance(field, ForeignKey):
                # Looked up beforehand: a condition on two tables uses no index of either.
                related = field.related_model._default_manager.filter(**{rest: term})
                yield Q(**{f"{name}__in": list(related.values_list("pk", flat=True)[:MOST_RELATED])})
            else:
                yield Q(**{lookup: term})


def _beginning_of_id(name: str, term: str) -> Iterator[Q]:
    digits = term.replace("-", "").lower()
    if FEWEST_DIGITS <= len(digits) <= 32 and set(digits) <= set("0123456789abcdef"):
        yield Q(**{f"{name}__range": (UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))})


class DayFilter(admin.SimpleListFilter):
    """Rows of one of the last days, in UTC. A subclass names the field; a date hierarchy would read all rows."""

    title, parameter_name = "day (UTC)", "day"
    field: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        today = datetime.now(UTC).date()
        days = [(today - timedelta(days=n)).isoformat() for n in range(DAYS_OFFERED)]
        return [(day, day) for day in days]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        try:
            start = datetime.fromisoformat(str(self.value())).replace(tzinfo=UTC)
            end = start + timedelta(days=1)
        except (ValueError, OverflowError):
            return queryset.none()
        return queryset.filter(**{f"{self.field}__gte": start, f"{self.field}__lt": end})


def register_inline(model: type[Model], inline: type[InlineModelAdmin]) -> None:
    """Show this inline on the admin page of another app's model. Call this from AppConfig.ready().

    Idempotent. Raises NotRegistered if the model has no admin.
    """
    page = type(admin.site.get_model_admin(model))
    if inline not in page.inlines:
        page.inlines = [*page.inlines, inline]
