"""Whose conversation it is: anybody else's does not exist."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from accounts.people import Person
from config.errors import Problem
from conversations.models import Conversation, ConversationQuerySet


def own_conversation(
    person: Person, conversation_id: UUID | str, among: ConversationQuerySet | None = None, **conditions: Any
) -> Conversation:
    """The person's conversation with this id that meets the conditions. Problem 404 for any other."""
    conversations = Conversation.objects.all() if among is None else among
    try:
        return conversations.of(person).get(pk=UUID(str(conversation_id)), **conditions)
    except (ValueError, Conversation.DoesNotExist):
        raise Problem(404, "not_found", "There is no such conversation.") from None
