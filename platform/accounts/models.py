"""WebSocket tickets: browsers cannot send a token header with a WebSocket, so token clients trade it for one."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

TICKET_SECONDS = 60


class WsTicket(models.Model):
    """A single-use pass for one WebSocket. Only its hash is stored."""

    hash = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"ticket of {self.user}"


def issue_ticket(user: User) -> str:
    """A new ticket for this user, good for TICKET_SECONDS. Clears the user's expired ones away."""
    ticket = secrets.token_urlsafe(32)
    now = timezone.now()
    WsTicket.objects.filter(user_id=user.pk, expires_at__lt=now).delete()
    WsTicket.objects.create(hash=_hash(ticket), user_id=user.pk, expires_at=now + timedelta(seconds=TICKET_SECONDS))
    return ticket


def redeem_ticket(ticket: str) -> User | None:
    """The ticket's user, once; None for a ticket that is unknown, used or expired."""
    found = WsTicket.objects.select_related("user").filter(hash=_hash(ticket)).first()
    # Of two sockets that come with the same ticket, one deletes the row.
    if found is None or not WsTicket.objects.filter(hash=found.hash).delete()[0]:
        return None
    return found.user if found.expires_at > timezone.now() else None


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()
