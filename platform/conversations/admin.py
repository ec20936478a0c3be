"""Conversations in the admin, for staff with the permission to read them. Every reading is noted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse

from config.admin import ReadOnly
from conversations.models import Conversation, Message
from jobs import disclosure


class ForReaders(ReadOnly):
    """A read-only admin for staff who may read people's text."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return disclosure.may_read(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return disclosure.may_read(request.user)


class MessageInline(ForReaders, admin.StackedInline):
    model = Message
    extra = 0
    fields = ("role", "text", "citations", "rating", "reason", "job", "created_at")
    readonly_fields = fields


@admin.register(Conversation)
class ConversationAdmin(ForReaders, admin.ModelAdmin):
    # Titles and summaries are people's text too, so only the detail page shows them.
    list_display = ("short_id", "surface", "course", "owner", "message_count", "updated_at")
    list_filter = ("surface", "course", "messages__rating", "updated_at")
    search_fields = ("id", "owner__username", "visitor")
    list_select_related = ("course", "owner")
    date_hierarchy = "updated_at"
    show_full_result_count = False
    inlines = (MessageInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        return super().get_queryset(request).annotate(message_count=Count("messages", distinct=True))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show one conversation, and note the reading."""
        response = super().change_view(request, object_id, *args, **kwargs)
        if response.status_code == 200:
            disclosure.note(request.user, f"conversation:{object_id}")
        return response

    @admin.display(description="Conversation", ordering="id")
    def short_id(self, conversation: Conversation) -> str:
        return str(conversation.pk)[:8]

    @admin.display(description="Messages", ordering="message_count")
    def message_count(self, conversation: Any) -> int:
        return conversation.message_count


class RatingInline(ReadOnly, admin.TabularInline):
    """Shows a job's rating and its reason, which are meant for staff, on the job's page."""

    model = Message
    verbose_name_plural = "Rating of the answer"
    extra = 0
    fields = ("rating", "reason")
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.view_aijob")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return super().get_queryset(request).exclude(rating="")
