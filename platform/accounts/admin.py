"""API tokens in the admin. Removes the tables of django-axes that we do not fill (settings.AXES_*)."""

from __future__ import annotations

from typing import Any

from axes.models import AccessFailureLog, AccessLog
from django.contrib import admin
from django.http import HttpRequest

from accounts.models import ApiToken

admin.site.unregister([AccessLog, AccessFailureLog])


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Shows tokens without anything that authenticates. Deleting one revokes it."""

    list_display = ["user", "ending", "created_at", "last_used_at", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["user__username"]
    fields = ["user", "ending", "created_at", "last_used_at", "expires_at"]
    readonly_fields = ["created_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse look-ups in the query string of the list: they could probe the stored hashes."""
        return False
