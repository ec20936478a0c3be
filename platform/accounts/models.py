"""API tokens, and the tickets with which their clients open WebSockets. Only hashes of both are stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from config.sql import lock

TOKENS_PER_PERSON = 20  # one more replaces the oldest
TOKEN_ENDING = 4  # characters of a token that are stored, to tell tokens apart
TICKET_SECONDS = 60


class ApiToken(models.Model):
    """A token of an API client. It ends with its time, a password change, or the deactivation of its user."""

    hash = models.CharField(max_length=64, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    ending = models.CharField(max_length=TOKEN_ENDING, help_text="The last characters of the token.")
    # The user's session hash when it was issued. It depends on the password, so a new password ends the token.
    fingerprint = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="Accurate to an hour.")
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"token …{self.ending} of {self.user}"

    @property
    def is_valid(self) -> bool:
        """Whether the token authenticates its user now."""
        return self.expires_at > timezone.now() and _is_unchanged(self.user, self.fingerprint)


class WsTicket(models.Model):
    """A single-use ticket for one WebSocket. It ends with the token that it was issued for."""

    hash = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    token = models.ForeignKey(ApiToken, null=True, on_delete=models.CASCADE)  # none when issued to a session
    # db_default: web servers of the previous release insert tickets without it, which are then refused.
    fingerprint = models.CharField(max_length=64, db_default="")
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="tickets_by_end")]

    def __str__(self) -> str:
        return f"ticket of {self.user}"

    @property
    def is_valid(self) -> bool:
        """Whether the ticket opens a socket now: it, its token and its user's password and account have not ended."""
        is_allowed = self.token.is_valid if self.token else _is_unchanged(self.user, self.fingerprint)
        return is_allowed and self.expires_at > timezone.now()


def issue_token(user: User) -> tuple[str, ApiToken]:
    """Issue a new API token; returns it and its row. Deletes the user's tokens that have ended or are too many."""
    token = secrets.token_urlsafe(32)
    now, fingerprint = timezone.now(), user.get_session_auth_hash()
    with transaction.atomic():
        lock(f"api-tokens:{user.pk}")
        valid = ApiToken.objects.filter(user_id=user.pk, fingerprint=fingerprint, expires_at__gt=now)
        kept = [*valid.values_list("pk", flat=True)[: TOKENS_PER_PERSON - 1]]
        ApiToken.objects.filter(user_id=user.pk).exclude(pk__in=kept).delete()
        row = ApiToken.objects.create(
            hash=_hash(token),
            user=user,
            ending=token[-TOKEN_ENDING:],
            fingerprint=fingerprint,
            expires_at=now + timedelta(days=settings.API_TOKEN_DAYS),
        )
    return token, row


def find_token(token: str) -> ApiToken | None:
    """Return the row of a valid token, with its user; None for any other. One query, rarely a second one.

    A token that has ended is deleted, so that it stays ended when its user is activated again.
    """
    found = ApiToken.objects.select_related("user").filter(hash=_hash(token)).first()
    if found is None:
        return None
    if not found.is_valid:
        found.delete()
        return None
    now = timezone.now()
    if found.last_used_at is None or now - found.last_used_at > timedelta(hours=1):
        ApiToken.objects.filter(pk=found.pk).update(last_used_at=now)
    return found


def issue_ticket(user: User, token: ApiToken | None = None) -> str:
    """Issue a ticket that is valid for TICKET_SECONDS, and delete the user's expired tickets."""
    ticket = secrets.token_urlsafe(32)
    now = timezone.now()
    WsTicket.objects.filter(user_id=user.pk, expires_at__lt=now).delete()
    WsTicket.objects.create(
        hash=_hash(ticket),
        user_id=user.pk,
        token=token,
        fingerprint=user.get_session_auth_hash(),
        expires_at=now + timedelta(seconds=TICKET_SECONDS),
    )
    return ticket


def redeem_ticket(ticket: str) -> WsTicket | None:
    """Use up the ticket and return it; None for one that is unknown, used, expired, or older than the password."""
    found = WsTicket.objects.filter(hash=_hash(ticket)).first()
    # If two sockets present the same ticket, only one of them deletes the row.
    if found is None or not WsTicket.objects.filter(hash=found.hash).delete()[0]:
        return None
    return found if found.is_valid else None


def _is_unchanged(user: User, fingerprint: str) -> bool:
    return user.is_active and constant_time_compare(fingerprint, user.get_session_auth_hash())


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
