"""What visitors may ask for in an hour. Counted in Postgres, in the transaction that writes what was asked for: exact
whoever comes at the same moment, and nothing is counted that was refused (docs/decisions/0014)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone
from django.utils.crypto import salted_hmac

from jobs.limits import LimitReached
from landing.models import Counter

_COUNT = """
INSERT INTO landing_counter (name, until, count) VALUES (%(name)s, %(until)s, 1)
ON CONFLICT (name, until) DO UPDATE SET count = landing_counter.count + 1 WHERE landing_counter.count < %(most)s
RETURNING count
"""


def count(what: str, *, visitor: str, per_visitor: int, network: str, per_network: int) -> None:
    """Count one use by this visitor of this network. LimitReached when either has had as many as allowed this hour.

    Runs in the transaction of what is counted, and holds others of the same network up until that ends.
    """
    # Always in this order, so that two calls never wait for each other.
    _count(f"{what}:visitor:{visitor}", per_visitor, "You have asked a lot in this hour. Please try again later.")
    _count(f"{what}:network:{network}", per_network, "Too much is asked from your network. Please try again later.")


def _count(name: str, most: int, message: str) -> None:
    hashed, until = salted_hmac("landing.counter", name, algorithm="sha256").hexdigest(), _end_of_hour()
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"name": hashed, "until": until, "most": most})
        row = cursor.fetchone() if most > 0 else None
    if row is None:
        raise LimitReached("too_many", message, max(1, round((until - timezone.now()).total_seconds())))
    if row[0] == 1:
        Counter.objects.filter(until__lt=until - timedelta(hours=1)).delete()


def _end_of_hour() -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
