"""The staff page with the circuit breakers of the upstream's models, where staff hold them open or closed."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from redis import RedisError

from jobs.backends import connections, upstream
from llm import breaker

HOLDS: dict[str, breaker.Hold | None] = {"open": "open", "closed": "closed", "auto": None}


@permission_required("jobs.change_aijob", raise_exception=True)
@require_http_methods(["GET", "POST"])
def breakers(request: HttpRequest) -> HttpResponse:
    """Show every model with the state of its breaker; a POST holds one or releases it."""
    if request.method == "POST":
        _hold(request, request.POST.get("model", ""), request.POST.get("hold", ""))
        return redirect("upstream")
    try:
        states, changes = async_to_sync(_read)()
    except (RedisError, OSError):
        messages.error(request, "Redis is away: the breakers let every call through until it is back.")
        states, changes = [], []
    context = {**admin.site.each_context(request), "title": "Upstream", "breakers": states, "changes": changes}
    return render(request, "admin/jobs/upstream.html", context)


def _hold(request: HttpRequest, model: str, hold: str) -> None:
    if model not in upstream.models() or hold not in HOLDS:
        return messages.error(request, "There is no such model or state.")
    try:
        async_to_sync(_set)(model, HOLDS[hold], request.user.get_username())
    except (RedisError, OSError):
        return messages.error(request, "Redis is away: the breaker is unchanged. Try again when it is back.")
    what = "is automatic again" if hold == "auto" else f"is held {hold}"
    messages.success(request, f"The breaker of {model} {what}.")


async def _read() -> tuple[list[tuple[str, str]], list[breaker.Change]]:
    """Each model with the state of its breaker, and the newest changes of all."""
    async with connections.async_redis() as redis:
        return await upstream.breaker_states(redis), await upstream.breaker_changes(redis)


async def _set(model: str, hold: breaker.Hold | None, by: str) -> None:
    async with connections.async_redis() as redis:
        await upstream.hold_breaker(redis, model, hold, by)
