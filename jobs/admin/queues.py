"""django-rq's pages at /admin/django-rq/: they show the queues to staff who may view jobs, and act for those who may
change them. By themselves they ask for no permission.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django_rq import urls as django_rq_urls
from django_rq.models import Dashboard
from django_rq.settings import get_queues_list
from rq.exceptions import NoSuchJobError

from config import staff
from config.admin import ReadOnly
from jobs.disclosure import may_change_jobs, may_see_jobs

# No such queue, worker or job; without the package rq-scheduler, no schedulers.
NOT_FOUND = (IndexError, ValueError, AssertionError, NoSuchJobError, ImproperlyConfigured)
NO_ACTIONS = {"confirm_action"}  # posted, but only asks whether to go on


def _guarded(pattern: URLPattern) -> URLPattern:
    view, name = pattern.callback, str(pattern.name)

    def respond(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        acts = request.method == "POST"
        if not (may_change_jobs(request.user) if acts else may_see_jobs(request.user)):
            raise PermissionDenied
        try:
            response: HttpResponse = view(request, **kwargs)
        except NOT_FOUND:
            raise Http404 from None
        if acts and name not in NO_ACTIONS:
            _record(request, name, **kwargs)
        return response

    return URLPattern(pattern.pattern, admin.site.admin_view(respond), pattern.default_args, name)


def _record(request: HttpRequest, name: str, queue_index: int = 0, job_id: str = "", **_: Any) -> None:
    what = request.POST.get("action") or name.replace("_", " ")
    entries = [job_id] if job_id else request.POST.getlist("job_ids")
    queue = get_queues_list()[queue_index]["name"]
    staff.Acting(request.user, "admin").record(f"queue {queue}", " ".join(["RQ:", what, *entries]))


urls = ([_guarded(pattern) for pattern in django_rq_urls.urlpatterns], "django_rq")


@admin.register(Dashboard)
class DashboardAdmin(ReadOnly, admin.ModelAdmin):
    """The link on the admin's first page. django-rq's own would serve its pages again, at another address."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_see_jobs(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_see_jobs(request.user)

    def get_urls(self) -> list[URLPattern]:
        """Only the list, because there is no table."""
        return [path("", self.admin_site.admin_view(_to_queues), name="django_rq_dashboard_changelist")]


def _to_queues(request: HttpRequest) -> HttpResponse:
    return redirect("django_rq:home")
