"""The site's content, and the messages of visitors, in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from config.admin import LargeTableAdmin
from jobs import disclosure
from landing.models import ContactRequest, CourseOffer, FaqEntry, SitePage


@admin.register(CourseOffer)
class CourseOfferAdmin(admin.ModelAdmin):
    list_display = ("course", "price", "currency", "starts_on", "seats", "is_published")
    list_editable = ("price", "starts_on", "seats", "is_published")
    list_select_related = ("course",)
    autocomplete_fields = ("course",)


@admin.register(FaqEntry)
class FaqEntryAdmin(admin.ModelAdmin):
    list_display = ("question", "position", "is_published")
    list_editable = ("position", "is_published")
    search_fields = ("question", "answer")


@admin.register(SitePage)
class SitePageAdmin(admin.ModelAdmin):
    list_display = ("title", "slug", "position", "is_published")
    list_editable = ("position", "is_published")
    prepopulated_fields = {"slug": ("title",)}
    search_fields = ("title", "body")


@admin.register(ContactRequest)
class ContactRequestAdmin(LargeTableAdmin):
    """Messages that staff answer by e-mail. Only staff who may read people's text see the conversation."""

    list_display = ("created_at", "email", "name", "beginning", "is_answered")
    list_filter = ("is_answered", "created_at")
    search_fields = ("email", "name", "message")
    search_help_text = "An e-mail address, or whole words of the name or the message"
    fields = ("created_at", "name", "email", "message", "is_answered", "said")
    readonly_fields = ("created_at", "name", "email", "message", "said")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ContactRequest], search_term: str
    ) -> tuple[QuerySet[ContactRequest], bool]:
        """The messages that hold all these words."""
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        words = SearchVector(*self.search_fields, config="simple")
        query = SearchQuery(term, config="simple", search_type="websearch")
        return queryset.annotate(words=words).filter(words=query), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ContactRequest]:
        return super().get_queryset(request).select_related("conversation")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [name for name in self.fields if name != "said" or disclosure.may_read(request.user)]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show one message, and note the reading of its conversation."""
        response = super().change_view(request, object_id, *args, **kwargs)
        if response.status_code == 200 and disclosure.may_read(request.user):
            contact = ContactRequest.objects.get(pk=object_id)
            if contact.conversation_id:
                disclosure.note(request.user, f"conversation:{contact.conversation_id}")
        return response

    @admin.display(description="Message")
    def beginning(self, contact: ContactRequest) -> str:
        return contact.message if len(contact.message) <= 80 else f"{contact.message[:79]}…"

    @admin.display(description="Conversation")
    def said(self, contact: ContactRequest) -> str | SafeString:
        if contact.conversation is None:
            return "No conversation was handed over."
        messages = contact.conversation.messages.all()
        return format_html_join("", "<p><b>{}</b><br>{}</p>", ((m.role, m.text) for m in messages))
