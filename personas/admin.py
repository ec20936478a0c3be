"""Questionnaires, personas and profiles in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_POST

from config import staff
from config.admin import LargeTableAdmin
from jobs.submission import SubjectBusy
from personas import actions, questionnaires, versions
from personas.kinds import submit_renewals
from personas.models import Persona, Profile, Question, Questionnaire

RENEWED = "To be classified again."
MAX_SELECTED_PROFILES = 25  # per action; a batch handles more, with limited concurrency


@admin.register(Persona)
class PersonaAdmin(admin.ModelAdmin):
    list_display = ("name", "key", "is_active", "tone", "pace")
    list_filter = ("is_active",)
    prepopulated_fields = {"key": ("name",)}


class QuestionInline(admin.StackedInline):
    model = Question
    extra = 1


@admin.register(Questionnaire)
class QuestionnaireAdmin(admin.ModelAdmin):
    list_display = ("title", "version", "published_at")
    inlines = (QuestionInline,)
    actions = ("publish", "copy")

    def has_change_permission(self, request: HttpRequest, obj: Questionnaire | None = None) -> bool:
        """Make published versions read-only, because answers refer to them."""
        return super().has_change_permission(request, obj) and not (obj and obj.version)

    def has_delete_permission(self, request: HttpRequest, obj: Questionnaire | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.version)

    @admin.action(description="Publish the selected draft", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[Questionnaire]) -> None:
        for draft in queryset:
            try:
                questionnaires.publish(draft)
                self.log_change(request, draft, "Published.")
                self.message_user(request, f"Published: learners now answer {draft}.", messages.SUCCESS)
            except questionnaires.NotPublishable as reason:
                self.message_user(request, f"{draft}: {reason}", messages.WARNING)

    @admin.action(description="Create a draft as a copy", permissions=["add"])
    def copy(self, request: HttpRequest, queryset: QuerySet[Questionnaire]) -> None:
        for questionnaire in queryset:
            self.log_addition(request, questionnaires.copy(questionnaire), f"Copied from {questionnaire}.")
        self.message_user(request, "Draft created: edit it, then publish it.", messages.SUCCESS)


@admin.register(Profile)
class ProfileAdmin(LargeTableAdmin):
    change_list_template = "admin/personas/profile/change_list.html"
    list_display = ("user", "persona", "confidence", "source", "questionnaire", "is_stale", "updated_at")
    list_filter = ("persona", "source", "questionnaire", "personas_version", "prompt_version", "model")
    list_select_related = ("user", "persona", "questionnaire")
    search_fields = ("user__username__istartswith",)
    fields = (
        "user", "persona", "source", "confidence", "why", "said", "questionnaire",
        "personas_version", "prompt_version", "model", "classified_at", "updated_at",
    )  # fmt: skip
    readonly_fields = tuple(field for field in fields if field != "persona")
    actions = ("renew", "drop_and_renew")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Profile]:
        """With what the list says of each, in one query."""
        return super().get_queryset(request).with_staleness(versions.current())  # type: ignore[attr-defined]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="Of an old version", boolean=True)
    def is_stale(self, profile: Profile) -> bool:
        return profile.stale  # type: ignore[attr-defined]

    @admin.display(description="Reasons")
    def why(self, profile: Profile) -> str:
        return _listed((reason["quote"], reason["meaning"]) for reason in profile.reasons)

    @admin.display(description="Answers")
    def said(self, profile: Profile) -> str:
        return _listed((answer["question"], answer["answer"]) for answer in profile.answers)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one profile, and record the reading in its history, because it contains a learner's own words."""
        response = super().change_view(request, object_id, form_url, extra_context)
        if request.method == "GET" and (profile := self.get_object(request, object_id)):
            self.log_change(request, profile, "Opened.")
        return response

    def save_model(self, request: HttpRequest, obj: Profile, form: ModelForm, change: bool) -> None:
        """Store the persona that staff chose. Neither a batch nor a running classification changes it."""
        if "persona" in form.changed_data:
            actions.decide(obj, obj.persona, Profile.Source.STAFF)

    def delete_model(self, request: HttpRequest, obj: Profile) -> None:
        actions.delete(obj.user_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Profile]) -> None:
        for profile in queryset:
            actions.delete(profile.user_id)

    @admin.action(description="Classify the selected again", permissions=["change"])
    def renew(self, request: HttpRequest, queryset: QuerySet[Profile]) -> None:
        self._renew(request, queryset.filter(source=Profile.Source.MODEL), queryset.count())

    @admin.action(description="Discard people's decisions and classify the selected again", permissions=["change"])
    def drop_and_renew(self, request: HttpRequest, queryset: QuerySet[Profile]) -> None:
        self._renew(request, queryset, queryset.count(), drop=True)

    def _renew(self, request: HttpRequest, profiles: QuerySet[Profile], selected: int, *, drop: bool = False) -> None:
        if selected > MAX_SELECTED_PROFILES:
            text = f"Select at most {MAX_SELECTED_PROFILES}. To classify more, use the button for all stale profiles."
            return self.message_user(request, text, messages.ERROR)
        chosen = Profile.objects.filter(pk__in=list(profiles.values_list("pk", flat=True)))
        if drop:
            actions.drop_decision(chosen)
        submitted = submit_renewals(chosen)
        for profile in chosen:
            self.log_change(request, profile, "Decision discarded, to be classified again." if drop else RENEWED)
        self.message_user(request, f"Submitted {submitted} profile(s) to be classified again.", messages.SUCCESS)
        if left := selected - submitted:
            text = f"Skipped {left} profile(s): decided by a person, or already being classified."
            self.message_user(request, text, messages.WARNING)

    def get_urls(self) -> list[URLPattern]:
        """Add the URL of the button that renews all stale profiles."""
        everybody = path("renew-all/", self.admin_site.admin_view(renew_all), name="personas_profile_renew_all")
        return [everybody, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list with the number of stale profiles."""
        stale = Profile.objects.stale(versions.current()).count()
        return super().changelist_view(request, {**(extra_context or {}), "stale": stale})


@require_POST
@permission_required("personas.change_profile", raise_exception=True)
def renew_all(request: HttpRequest) -> HttpResponse:
    """Submit the batch that renews all stale profiles."""
    try:
        job = actions.renew_all()
        staff.Acting(request.user, "admin").record(job, "Submitted, to classify all stale profiles again")
        messages.success(request, f"Job {job.pk} classifies them again; cancel it to stop.")
    except SubjectBusy as busy:
        messages.warning(request, f"Job {busy.active.pk} is already doing this.")
    return redirect("admin:personas_profile_changelist")


def _listed(pairs: Any) -> str:
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}<br><b>{}</b></li>", pairs))
