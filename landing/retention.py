"""Deletes old conversations of visitors, who cannot reopen them after their cookie has expired."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from conversations import actions
from conversations.models import Conversation
from jobs.retention import Part

CONVERSATIONS_PER_BATCH = 50


def delete_conversations() -> int:
    """Delete a batch of visitors' conversations older than LANDING_KEEP_DAYS, and return their number.

    Conversations of messages that staff have not answered yet are kept.
    """
    conversations = list(_old()[:CONVERSATIONS_PER_BATCH])
    for conversation in conversations:
        actions.delete(conversation)
    return len(conversations)


def _old() -> QuerySet[Conversation]:
    before = timezone.now() - timedelta(days=settings.LANDING_KEEP_DAYS)
    old = Conversation.objects.filter(surface="landing", owner=None, updated_at__lt=before)
    return old.exclude(contact_requests__is_answered=False)


CONVERSATIONS = Part("visitors' conversations", delete_conversations, lambda: _old().exists())
