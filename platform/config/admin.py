"""Helpers for the admins of all apps."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import InlineModelAdmin
from django.db.models import Model
from django.http import HttpRequest


class ReadOnly:
    """Makes an admin read-only, and what it hides unsearchable."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Allow only look-ups that the page offers. Django allows any on the model's own fields, also hidden ones."""
        filters = [each[0] if isinstance(each, tuple) else each for each in getattr(self, "list_filter", ())]
        names = [each if isinstance(each, str) else str(each.parameter_name) for each in filters]
        offered = [*names, getattr(self, "date_hierarchy", None) or "id", "id", "pk"]
        return any(lookup == name or lookup.startswith(f"{name}__") for name in offered)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def register_inline(model: type[Model], inline: type[InlineModelAdmin]) -> None:
    """Show this inline on the admin page of another app's model. Call this from AppConfig.ready().

    Idempotent. Raises NotRegistered if the model has no admin.
    """
    page = type(admin.site.get_model_admin(model))
    if inline not in page.inlines:
        page.inlines = [*page.inlines, inline]
