"""WebSocket tickets. Browsers cannot send a token header with a WebSocket, so clients exchange their token for one."""

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
    """A single-use ticket for one WebSocket. Only its hash is stored."""

    hash = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="tickets_by_end")]

    def __str__(self) -> str:
        return f"ticket of {self.user}"


def issue_ticket(user: User) -> str:
    """Issue a ticket that is valid for TICKET_SECONDS, and delete the user's expired tickets."""
    ticket = secrets.token_urlsafe(32)
    now = timezone.now()
    WsTicket.objects.filter(user_id=user.pk, expires_at__lt=now).delete()
    WsTicket.objects.create(hash=_hash(ticket), user_id=user.pk, expires_at=now + timedelta(seconds=TICKET_SECONDS))
    return ticket


def redeem_ticket(ticket: str) -> User | None:
    """Use up the ticket and return its user; None for a ticket that is unknown, used or expired."""
    found = WsTicket.objects.select_related("user").filter(hash=_hash(ticket)).first()
    # If two sockets present the same ticket, only one of them deletes the row.
    if found is None or not WsTicket.objects.filter(hash=found.hash).delete()[0]:
        return None
    return found.user if found.expires_at > timezone.now() else None


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()
