"""Jobs in the admin: everything can be seen, nothing edited; retry and cancel are actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from config import staff
from config.admin import LargeTableAdmin, ReadOnly
from jobs import actions
from jobs.admin.filters import CreatedFilter, ErrorFilter, KindFilter, QueueFilter, ReadFilter
from jobs.disclosure import may_change_jobs
from jobs.events import outcome
from jobs.lifecycle import history
from jobs.lifecycle.history import Move
from jobs.models import AiCall, AiJob, Reading
from llm import prices

HEADINGS = ("At (UTC)", "Attempt", "Waited", "Ran", "Outcome", "Code", "Detail")


class AiCallInline(ReadOnly, admin.TabularInline):
    model = AiCall
    extra = 0
    fields = (
        "started_at", "attempt", "purpose", "model", "outcome", "error_code", "error_detail",
        "governor_ms",
        "first_token_ms", "duration_ms", "input_tokens", "cached_tokens", "output_tokens", "estimated", "cost",
        "upstream_id",
    )  # fmt: skip


@admin.register(AiJob)
class AiJobAdmin(ReadOnly, LargeTableAdmin):
    list_display = (
        "short_id",
        "kind",
        "status",
        "person",
        "attempt",
        "created_at",
        "waited",
        "ran",
        "error",
    )
    list_filter = ("status", KindFilter, QueueFilter, ErrorFilter, CreatedFilter, "created_at")
    # Ids are copied from logs, whole or their beginning.
    search_fields = ("id", "request_id__exact", "owner__username__istartswith", "visitor__startswith", "subject__exact")
    search_help_text = "A job's or visitor's id or a user's name, or how it begins; a whole request id or subject"
    list_select_related = ("owner",)
    sortable_by = ("created_at",)
    actions = ("retry_jobs", "cancel_jobs")
    inlines = (AiCallInline,)
    exclude = ("payload", "result", "request_hash", "history", "uncounted")
    readonly_fields = ("person", "waited", "ran", "attempts", "tokens", "cost", "what")

    @admin.display(description="Job", ordering="id")
    def short_id(self, job: AiJob) -> str:
        return str(job.pk)[:8]

    @admin.display(description="Person")
    def person(self, job: AiJob) -> str:
        return job.owner.get_username() if job.owner else f"visitor {job.visitor[:8]}"

    @admin.display(description="Waited in the queue")
    def waited(self, job: AiJob) -> str:
        return f"{history.waited(job):.1f} s"

    @admin.display(description="Ran")
    def ran(self, job: AiJob) -> str:
        return f"{history.ran(job):.1f} s"

    @admin.display(description="What became of each attempt")
    def attempts(self, job: AiJob) -> str:
        rows = format_html_join("", _row("td"), map(_cells, job.history))
        return format_html("<table>{}{}</table>", format_html(_row("th"), *HEADINGS), rows)

    @admin.display(description="Error")
    def error(self, job: AiJob) -> str:
        return job.error_code

    @admin.display(description="Tokens")
    def tokens(self, job: AiJob) -> str:
        usage = outcome.usage(job)
        return f"{usage.inputTokens} in, {usage.outputTokens} out"

    @admin.display(description="Cost (US dollars)")
    def cost(self, job: AiJob) -> str:
        costs = [call.cost for call in job.calls.all()]
        unknown = f" and {costs.count(None)} calls without a known price" if None in costs else ""
        return f"{sum(cost for cost in costs if cost is not None):.6f}{unknown}, by the prices of {prices.AS_OF}"

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
        return may_change_jobs(request.user)

    def _act(self, request: HttpRequest, jobs: QuerySet[AiJob], action: Callable[..., Any], done: str) -> None:
        by = staff.Acting(request.user, "admin")
        acted = [job for job in jobs if _act_on(job, action, by)]
        if acted:
            self.message_user(request, f"{len(acted)} job(s) {done}.", messages.SUCCESS)
        if len(acted) < len(jobs):
            left = len(jobs) - len(acted)
            self.message_user(request, f"{left} job(s) left alone: their state does not allow it.", messages.WARNING)


def _act_on(job: AiJob, action: Callable[..., Any], by: staff.Acting) -> bool:
    try:
        return action(job, by=by) is not None
    except IntegrityError:  # another job of the same subject is active
        return False


def _row(cell: str) -> str:
    return f"<tr>{f'<{cell}>{{}}</{cell}>' * len(HEADINGS)}</tr>"


def _cells(move: Move) -> tuple[Any, ...]:
    waited, ran = (f"{move[key]:.1f} s" if key in move else "" for key in ("waited", "ran"))
    at = move["at"][:19].replace("T", " ")
    return at, move["attempt"], waited, ran, move["outcome"], move.get("code", ""), move.get("detail", "")


@admin.register(Reading)
class ReadingAdmin(ReadOnly, LargeTableAdmin):
    list_display = ("at", "reader_name", "what")
    list_filter = (ReadFilter, "at")
    search_fields = ("reader_name__startswith", "what__startswith")
    search_help_text = "The name of a reader, or job: or conversation: with its id; or how it begins"
    sortable_by = ("at",)
