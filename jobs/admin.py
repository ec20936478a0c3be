"""Jobs in the admin: everything to be seen, nothing to be edited; retry and cancel are actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from jobs import actions
from jobs.models import AiCall, AiJob


class ReadOnly:
    """An admin that shows and does not change."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AiCallInline(ReadOnly, admin.TabularInline):
    model = AiCall
    extra = 0
    fields = (
        "started_at", "attempt", "purpose", "model", "outcome", "error_code", "error_detail",
        "governor_ms",
        "first_token_ms", "duration_ms", "input_tokens", "output_tokens", "cost", "upstream_id",
    )  # fmt: skip


@admin.register(AiJob)
class AiJobAdmin(ReadOnly, admin.ModelAdmin):
    list_display = (
        "short_id",
        "kind",
        "status",
        "person",
        "attempt",
        "created_at",
        "waited",
        "took",
        "error",
    )
    list_filter = ("status", "kind", "queue", "error_code", "created_at")
    search_fields = ("id", "owner__username", "visitor", "subject")
    list_select_related = ("owner",)
    date_hierarchy = "created_at"
    show_full_result_count = False
    actions = ("retry_jobs", "cancel_jobs")
    inlines = (AiCallInline,)
    exclude = ("payload", "result", "request_hash")
    readonly_fields = ("person", "waited", "took", "cost", "what")

    @admin.display(description="Job", ordering="id")
    def short_id(self, job: AiJob) -> str:
        return str(job.pk)[:8]

    @admin.display(description="Person")
    def person(self, job: AiJob) -> str:
        return job.owner.get_username() if job.owner else f"visitor {job.visitor[:8]}"

    @admin.display(description="Waited")
    def waited(self, job: AiJob) -> str:
        return _seconds(job.created_at, job.started_at)

    @admin.display(description="Took")
    def took(self, job: AiJob) -> str:
        return _seconds(job.started_at, job.finished_at)

    @admin.display(description="Error")
    def error(self, job: AiJob) -> str:
        return job.error_code

    @admin.display(description="Cost (US dollars)")
    def cost(self, job: AiJob) -> str:
        costs = [call.cost for call in job.calls.all()]
        unknown = f" and {costs.count(None)} calls without a known price" if None in costs else ""
        return f"{sum(cost for cost in costs if cost is not None):.6f}{unknown}"

    @admin.display(description="What it works on")
    def what(self, job: AiJob) -> str:
        return format_html("<code>{}</code>", json.dumps(job.payload))

    @admin.action(description="Retry the selected failed or cancelled jobs", permissions=["manage"])
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[AiJob]) -> None:
        self._act(request, queryset, actions.retry, "queued again")

    @admin.action(description="Cancel the selected jobs", permissions=["manage"])
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[AiJob]) -> None:
        self._act(request, queryset, actions.cancel, "cancelled")

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Who may retry and cancel: staff with the change permission for jobs."""
        return request.user.has_perm("jobs.change_aijob")

    def _act(self, request: HttpRequest, jobs: QuerySet[AiJob], action: Callable[..., Any], done: str) -> None:
        acted = [job for job in jobs if _act_on(job, action)]
        if acted:
            self.message_user(request, f"{len(acted)} job(s) {done}.", messages.SUCCESS)
        if len(acted) < len(jobs):
            left = len(jobs) - len(acted)
            self.message_user(request, f"{left} job(s) left alone: their state does not allow it.", messages.WARNING)


def _act_on(job: AiJob, action: Callable[..., Any]) -> bool:
    try:
        return async_to_sync(action)(job) is not None
    except IntegrityError:  # another job of the same subject is active
        return False


def _seconds(start: Any, end: Any) -> str:
    return f"{(end - start).total_seconds():.1f} s" if start and end else "-"
