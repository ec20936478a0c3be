"""Limits failed sign-ins. django-axes records them and calls this module (settings.AXES_*).

Two limits hold, both before a password is hashed: for a name from one network, by django-axes, and for all names from
one network, here. The second one is a leaky bucket over the recorded failures: it holds SIGN_IN_FAILURES_PER_NETWORK
and drains in DRAIN. So a network that has used it up may try again a few seconds later, and people behind the same
address are not locked out for long by one of them.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts.networks import UNKNOWN, network_of
from config import errors

NAME_LOCKED = "There were too many wrong passwords. Please try again in ten minutes."
NETWORK_LOCKED = "There were too many failed sign-ins from your network. Please try again in {seconds} seconds."
NAME_CHARS = 255  # what the tables of django-axes hold
DRAIN = timedelta(minutes=10)


class Handler(AxesDatabaseHandler):
    """The counting of django-axes, extended by the limit for a network."""

    def is_locked(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        """Return whether this sign-in is refused without checking the password."""
        request.network_wait = seconds_to_wait(request.axes_ip_address, request.axes_attempt_time)
        return request.network_wait > 0 or super().is_locked(request, credentials)


def seconds_to_wait(address: str | None, now: datetime) -> int:
    """Return how long sign-ins are refused for the network of this counted address; 0 if they are not.

    Clients whose address is unknown are never refused, because they may be anybody: few hashes at once must be enough.
    """
    if address is None:
        return 0
    recorded = AccessAttempt.objects.filter(ip_address=address, attempt_time__gt=now - DRAIN).order_by("attempt_time")
    limit, level, last = settings.SIGN_IN_FAILURES_PER_NETWORK, 0.0, now - DRAIN
    for at, failures in recorded.values_list("attempt_time", "failures_since_start"):
        level = min(limit, max(0.0, level - limit * (at - last) / DRAIN) + failures)
        last = at
    above = level - limit * (now - last) / DRAIN - (limit - 1)
    return max(0, math.ceil(above * DRAIN.total_seconds() / limit))


def counted_address(request: HttpRequest) -> str | None:
    """Return the first address of the client's network, which stands for all of it; None if the network is unknown."""
    network = network_of(request)
    return None if network == UNKNOWN else network.partition("/")[0]


def counted_name(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """Return the name to count, cut to what the table holds. Nobody's name is that long."""
    name = (credentials or request.POST).get("username")
    return None if name is None else str(name)[:NAME_CHARS]


def locked(request: HttpRequest, response: HttpResponse, credentials: Any) -> HttpResponse:
    """Answer 429 while sign-in is locked, without checking the password."""
    seconds: int = getattr(request, "network_wait", 0)
    message = NETWORK_LOCKED.format(seconds=seconds)
    if not seconds:
        seconds, message = round(settings.AXES_COOLOFF_TIME.total_seconds()), NAME_LOCKED
    return errors.wait(request, errors.Problem(429, "too_many_attempts", message, retry_after=seconds))
