"""Helpers for the admins of all apps."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import InlineModelAdmin
from django.db.models import Model
from django.http import HttpRequest


class ReadOnly:
    """Makes an admin read-only."""

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
