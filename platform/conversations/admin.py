"""Conversations in the admin, for staff with the permission to read them. Every reading is noted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse

from config.admin import MOST_COUNTED, DayFilter, LargeTableAdmin, ReadOnly
from conversations.kinds import AnswerKind
from conversations.models import Conversation, Message
from jobs import disclosure, kinds


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


class SurfaceFilter(admin.SimpleListFilter):
    title = parameter_name = "surface"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        surfaces = {kind.surface for name in kinds.names() if isinstance(kind := kinds.get(name), AnswerKind)}
        return [(surface, surface) for surface in sorted(surfaces)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> QuerySet[Conversation]:
        return queryset.filter(surface=self.value()) if self.value() else queryset


class RatingFilter(admin.SimpleListFilter):
    """Conversations with an answer that was rated like this, by the newest MOST_COUNTED answers."""

    title, parameter_name = f"rating (newest {MOST_COUNTED} answers)", "rating"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in Message.Rating.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> QuerySet[Conversation]:
        if not self.value():
            return queryset
        rated = Message.objects.filter(rating=self.value()).exclude(rating="").order_by("-pk")
        return queryset.filter(pk__in=set(rated.values_list("conversation_id", flat=True)[:MOST_COUNTED]))


class UpdatedFilter(DayFilter):
    title, field = "day of the last message (UTC)", "updated_at"


@admin.register(Conversation)
class ConversationAdmin(ForReaders, LargeTableAdmin):
    # Titles and summaries are people's text too, so only the detail page shows them.
    list_display = ("short_id", "surface", "course", "owner", "message_count", "updated_at")
    list_filter = (SurfaceFilter, "course", RatingFilter, UpdatedFilter, "updated_at")
    search_fields = ("id", "owner__username__istartswith", "visitor__startswith")
    search_help_text = "A conversation's or visitor's id or a user's name, or how it begins"
    list_select_related = ("course", "owner")
    sortable_by = ("updated_at",)
    inlines = (MessageInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        # A subquery, which is evaluated for the rows of the page; a join would group all messages first.
        messages = Message.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation")
        count = Subquery(messages.annotate(count=Count("pk")).values("count"))
        return super().get_queryset(request).annotate(message_count=Coalesce(count, 0))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show one conversation, and note the reading."""
        response = super().change_view(request, object_id, *args, **kwargs)
        if response.status_code == 200:
            disclosure.note(request.user, f"conversation:{object_id}")
        return response

    @admin.display(description="Conversation")
    def short_id(self, conversation: Conversation) -> str:
        return str(conversation.pk)[:8]

    @admin.display(description="Messages")
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
