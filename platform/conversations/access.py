"""Access to conversations. Other people's conversations answer 404."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from accounts.people import Person
from config.errors import Problem
from conversations.models import Conversation, ConversationQuerySet


def own_conversation(
    person: Person, conversation_id: UUID | str, among: ConversationQuerySet | None = None, **conditions: Any
) -> Conversation:
    """Return the person's conversation with this id that meets the conditions. Raises Problem 404 if there is none."""
    conversations = Conversation.objects.all() if among is None else among
    try:
        return conversations.of(person).get(pk=UUID(str(conversation_id)), **conditions)
    except (ValueError, Conversation.DoesNotExist):
        raise Problem(404, "not_found", "There is no such conversation.") from None
