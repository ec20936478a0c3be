"""The staff page of the upstream: the circuit breakers of its models, and holding them open or closed."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from redis import RedisError

from jobs.backends import upstream
from jobs.events import publish
from llm import breaker

HOLDS: dict[str, breaker.Hold | None] = {"open": "open", "closed": "closed", "auto": None}


@permission_required("jobs.change_aijob", raise_exception=True)
@require_http_methods(["GET", "POST"])
def breakers(request: HttpRequest) -> HttpResponse:
    """Every model with the state of its breaker; a POST holds one or lets it go."""
    if request.method == "POST":
        _hold(request, request.POST.get("model", ""), request.POST.get("hold", ""))
        return redirect("upstream")
    states, changes = _look(request)
    context = {**admin.site.each_context(request), "title": "Upstream", "breakers": states, "changes": changes}
    return render(request, "admin/jobs/upstream.html", context)


def _look(request: HttpRequest) -> tuple[list[tuple[str, str]], list[breaker.Change]]:
    try:
        return async_to_sync(breaker_states)(), async_to_sync(_newest_changes)()
    except (RedisError, OSError):
        messages.error(request, "Redis is away: the breakers let every call through until it is back.")
        return [], []


def _hold(request: HttpRequest, model: str, hold: str) -> None:
    if model not in upstream.models() or hold not in HOLDS:
        return messages.error(request, "There is no such model or state.")
    async_to_sync(_set)(model, HOLDS[hold], request.user.get_username())
    what = "works by itself again" if hold == "auto" else f"is held {hold}"
    messages.success(request, f"The breaker of {model} {what}.")


async def breaker_states() -> list[tuple[str, str]]:
    """Each model that is used, with the state of its breaker."""
    return [(model, await breaker.state_of(publish.redis_client(), model)) for model in sorted(upstream.models())]


async def _newest_changes() -> list[breaker.Change]:
    redis = publish.redis_client()
    return sorted([each for model in upstream.models() for each in await breaker.changes(redis, model)], reverse=True)


async def _set(model: str, hold: breaker.Hold | None, by: str) -> None:
    await breaker.Breakers(publish.redis_client()).hold(model, hold, by)
