"""Counts visitors' requests: hourly limits per visitor and network.

Uses are counted in Postgres, in the transaction that stores the request. So counts are exact under concurrency, and
refused requests are not counted (docs/decisions/0014).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.people import Person
from config.sql import first_row
from jobs.limits import LimitReached
from landing.models import Counter

DELETE_BATCH = 50  # of old counters, by the first request of a visitor or network in an hour

_COUNT = """
INSERT INTO landing_counter (name, until, count) VALUES (%(name)s, %(until)s, 1)
ON CONFLICT (name, until) DO UPDATE SET count = landing_counter.count + 1 WHERE landing_counter.count < %(limit)s
RETURNING count
"""


def count_question(person: Person, network: str) -> None:
    """Count a question of this visitor. Raises LimitReached; runs in the transaction that stores the question."""
    count(
        "ask",
        visitor=person.group,
        per_visitor=settings.LANDING_QUESTIONS_PER_VISITOR,
        network=network,
        per_network=settings.LANDING_QUESTIONS_PER_NETWORK,
    )


def count(what: str, *, visitor: str, per_visitor: int, network: str, per_network: int) -> None:
    """Count one use by this visitor and network. Raises LimitReached if either is at its limit for this hour.

    Runs in the transaction of the use, and blocks other requests of the same network until that ends.
    """
    # Always in this order, so that concurrent calls cannot deadlock.
    _count(
        f"{what}:visitor:{visitor}",
        per_visitor,
        "You have sent too many requests in this hour. Please try again later.",
    )
    _count(
        f"{what}:network:{network}",
        per_network,
        "There are too many requests from your network. Please try again later.",
    )


def _count(name: str, limit: int, message: str) -> None:
    hashed, until = salted_hmac("landing.counter", name, algorithm="sha256").hexdigest(), _end_of_hour()
    row = first_row(_COUNT, {"name": hashed, "until": until, "limit": limit}) if limit > 0 else None
    if row is None:
        raise LimitReached("too_many", message, max(1, round((until - timezone.now()).total_seconds())))
    if row[0] == 1:
        _delete_some_old(until - timedelta(hours=1))


def _delete_some_old(before: datetime) -> None:
    """Delete a few old counters: more than are added, and none that another request is deleting."""
    old = Counter.objects.filter(until__lt=before).order_by("until").select_for_update(skip_locked=True)
    Counter.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:DELETE_BATCH])).delete()


def _end_of_hour() -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
