"""What visitors may ask for in an hour, and whether an answer can be paid for.

Uses are counted in Postgres, in the transaction that writes what was asked for: exact when several come at the same
moment, and a refused request is not counted (docs/decisions/0014).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.people import Person
from config.sql import first_row
from jobs.limits import LimitReached
from landing import budget
from landing.models import Counter

_COUNT = """
INSERT INTO landing_counter (name, until, count) VALUES (%(name)s, %(until)s, 1)
ON CONFLICT (name, until) DO UPDATE SET count = landing_counter.count + 1 WHERE landing_counter.count < %(most)s
RETURNING count
"""


def admit(person: Person, network: str, kind: str) -> None:
    """Raise LimitReached unless this visitor may have an answer now. Runs in the transaction that asks for it."""
    count(
        "ask",
        visitor=person.group,
        per_visitor=settings.LANDING_QUESTIONS_PER_VISITOR,
        network=network,
        per_network=settings.LANDING_QUESTIONS_PER_NETWORK,
    )
    budget.admit(kind)


def count(what: str, *, visitor: str, per_visitor: int, network: str, per_network: int) -> None:
    """Count one use by this visitor of this network. LimitReached when either has used up this hour's allowance.

    Runs in the transaction of what is counted, and blocks others of the same network until that ends.
    """
    # Always in this order, so that two calls never deadlock.
    _count(f"{what}:visitor:{visitor}", per_visitor, "You have asked a lot in this hour. Please try again later.")
    _count(f"{what}:network:{network}", per_network, "Too much is asked from your network. Please try again later.")


def _count(name: str, most: int, message: str) -> None:
    hashed, until = salted_hmac("landing.counter", name, algorithm="sha256").hexdigest(), _end_of_hour()
    row = first_row(_COUNT, {"name": hashed, "until": until, "most": most}) if most > 0 else None
    if row is None:
        raise LimitReached("too_many", message, max(1, round((until - timezone.now()).total_seconds())))
    if row[0] == 1:
        Counter.objects.filter(until__lt=until - timedelta(hours=1)).delete()


def _end_of_hour() -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
