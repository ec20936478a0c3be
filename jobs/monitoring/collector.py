"""The system's figures for /metrics, read at each scrape, so that every web process reports the same.

Jobs that are active come from their rows, by partial indexes; jobs that have ended come from the running totals.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import Error
from django.db.models import Count, Max, Q
from django.db.models.functions import Coalesce, Now
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis, RedisError, ResponseError
from rq import Queue

from jobs import kinds, limits
from jobs.backends import connections, upstream
from jobs.models import AiJob, Total
from jobs.monitoring import checks, totals
from jobs.monitoring.totals import FIGURES, Figure
from llm import breaker

logger = logging.getLogger(__name__)

PREFIX = "course_ai_"
Values = dict[tuple[str, ...], float]


class SystemCollector(Collector):
    """What Postgres and Redis know. When one of them is away, its figures are missing and `up` says so."""

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not query anything."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All figures, as they are now."""
        up: Values = {}
        for part, figures in (("postgres", _from_postgres), ("redis", _from_redis)):
            found = _if_it_answers(figures)
            up[part,] = float(found is not None)
            yield from found or []
        yield _gauge("up", "Whether this part answers.", ("part",), up)


def _if_it_answers(figures: Callable[[], Iterator[Metric]]) -> list[Metric] | None:
    try:
        return list(figures())
    except (Error, RedisError, OSError) as error:
        logger.warning("figures are left out: %s", type(error).__name__)
    except Exception:  # something in it that nobody foresaw must not take the other figures along
        logger.exception("figures are left out")
    return None


def _from_postgres() -> Iterator[Metric]:
    # Each query has the condition of an index: among a million rows only the active ones are read.
    pending = list(_pending())
    running = AiJob.objects.filter(status=AiJob.Status.RUNNING).order_by().values("kind").annotate(jobs=Count("pk"))
    yield _active(pending, list(running))
    yield from _waiting(pending)
    age = totals.sweep_age()
    yield _gauge("sweep_age_seconds", "Since a worker last completed a sweep.", (), {} if age is None else {(): age})
    values: dict[str, Values] = defaultdict(dict)
    for name, labels, value in Total.objects.values_list("name", "labels", "value"):
        values[name][tuple(labels)] = value
    for figure in FIGURES:
        add_up = _histogram if figure.buckets else _counter
        yield add_up(figure, values)


def _from_redis() -> Iterator[Metric]:
    redis = connections.redis()
    entries: Values = {(name,): _length(redis, Queue(name, connection=redis).key) for name in settings.JOBS_QUEUES}
    yield _gauge("queue_entries", "Entries in the queues of Redis.", ("queue",), entries)
    yield _gauge("workers", "Workers that are registered.", (), {(): checks.registered_workers()})
    found = async_to_sync(_breaker_states)()
    states: Values = {(model, state): state == now for model, now in found for state in breaker.STATES}
    yield _gauge("breaker", "The state that a model's circuit breaker is in is 1.", ("model", "state"), states)


def _length(redis: Redis, queue: str) -> int:
    try:
        return int(redis.llen(queue))
    except ResponseError:  # a key of another type
        return 0


async def _breaker_states() -> list[tuple[str, str]]:
    async with connections.async_redis() as redis:
        return await upstream.breaker_states(redis)


def _pending() -> Any:
    ready, later = limits.waiting_for_worker(), Q(run_after__gt=Now())
    rows = AiJob.objects.filter(status=AiJob.Status.PENDING).order_by().values("kind", "queue")
    return rows.annotate(
        jobs=Count("pk"),
        ready=Count("pk", filter=ready),
        deferred=Count("pk", filter=later),
        oldest=Max(Now() - Coalesce("run_after", "created_at"), filter=ready),
    )


def _active(pending: list[Any], running: list[Any]) -> Metric:
    jobs: Values = {(kind, status): 0 for kind in kinds.names() for status in AiJob.ACTIVE}
    for status, rows in ((AiJob.Status.PENDING, pending), (AiJob.Status.RUNNING, running)):
        for row in rows:
            jobs[row["kind"], status] = row["jobs"] + jobs.get((row["kind"], status), 0)
    return _gauge("jobs", "Jobs that have not ended.", ("kind", "status"), jobs)


def _waiting(pending: list[Any]) -> Iterator[Metric]:
    jobs: Values = {(queue, state): 0 for queue in settings.JOBS_QUEUES for state in ("ready", "deferred", "held")}
    oldest: Values = {(queue,): 0 for queue in settings.JOBS_QUEUES}
    for row in pending:
        counts = {state: row[state] for state in ("ready", "deferred")}
        for state, count in (counts | {"held": row["jobs"] - sum(counts.values())}).items():
            jobs[row["queue"], state] = jobs.get((row["queue"], state), 0) + count
        if row["oldest"] is not None:
            oldest[row["queue"],] = max(oldest[row["queue"],], row["oldest"].total_seconds())
    text = "Pending jobs: ready for a worker, deferred until later, or held back for another reason."
    yield _gauge("jobs_waiting", text, ("queue", "state"), jobs)
    yield _gauge("oldest_job_seconds", "How long the oldest job that is ready has been waiting.", ("queue",), oldest)


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(figure: Figure, values: dict[str, Values]) -> Metric:
    family = CounterMetricFamily(PREFIX + figure.name, figure.help, labels=figure.labels)
    for key, value in values[figure.name].items():
        family.add_metric(key, value)
    return family


def _histogram(figure: Figure, values: dict[str, Values]) -> Metric:
    family = HistogramMetricFamily(PREFIX + figure.name, figure.help, labels=figure.labels)
    for key, total in values[figure.sum_name].items():
        counts = [values[figure.name].get((*key, bound), 0) for bound in figure.bounds]
        family.add_metric(key, list(zip(figure.bounds, accumulate(counts), strict=True)), total)
    return family
