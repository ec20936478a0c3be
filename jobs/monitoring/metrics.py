"""/metrics in Prometheus' text format: the system's figures, and those of the web process that answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from config import errors
from jobs.events.schema import Frame
from jobs.monitoring.collector import PREFIX, SystemCollector

Transport = Literal["socket", "stream"]

REGISTRY = CollectorRegistry()
REGISTRY.register(SystemCollector())
ProcessCollector(registry=REGISTRY)
VIEWERS = Gauge(f"{PREFIX}viewers", "Open sockets and event streams.", ["transport"], registry=REGISTRY)
EVENTS = Counter(f"{PREFIX}events_sent", "Events sent to viewers.", ["transport"], registry=REGISTRY)
EVENT_LAG = Histogram(
    f"{PREFIX}event_lag_seconds",
    "From an event's `at` to its being sent, for events that came live.",
    ["transport"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
for _transport in get_args(Transport):
    VIEWERS.labels(_transport)  # shown as 0 before the first one
# By name once: a web process sends thousands of events a second.
_SENT = {transport: EVENTS.labels(transport) for transport in get_args(Transport)}
_LAG = {transport: EVENT_LAG.labels(transport) for transport in get_args(Transport)}
LOOPBACK = {"127.0.0.1", "::1"}


def sent(transport: Transport, frames: Sequence[Frame], *, live: bool) -> None:
    """Note that these events have been sent to a viewer."""
    _SENT[transport].inc(len(frames))
    if live:
        now = timezone.now()
        for item in frames:
            _LAG[transport].observe((now - item.at).total_seconds())


def metrics_page(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware as early as the health checks: scrapers come from inside, without TLS and under any Host."""

    def respond(request: HttpRequest) -> HttpResponse:
        return _answer(request) if request.path == "/metrics" else get_response(request)

    return respond


def _answer(request: HttpRequest) -> HttpResponse:
    if not _may_see(request):
        body = errors.body("not_authenticated", "Metrics are for those who have the METRICS_TOKEN.")
        return JsonResponse(body, status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _may_see(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        return constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}")
    # Elsewhere a proxy on the same host would make everybody a loopback client.
    return settings.DEV_STACK and request.META.get("REMOTE_ADDR") in LOOPBACK
