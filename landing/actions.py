"""What visitors do: ask, and write to the people of the school. Each within its limits, in one transaction."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.people import Person
from config.errors import Problem
from conversations import actions
from conversations.models import Conversation
from jobs import submission
from jobs.models import AiJob
from landing import budget, limits
from landing.models import ContactRequest

MESSAGES_PER_VISITOR = 3  # an hour
MESSAGES_PER_NETWORK = 10


def ask(wish: submission.Request, network: str, question: str, conversation_id: UUID | None) -> AiJob:
    """Write the question down and submit its job. Runs in the caller's transaction; raises LimitReached."""
    admit(wish.person, network)
    return actions.ask(wish, budget.KIND, question, conversation_id)


def admit(person: Person, network: str) -> None:
    """Whether this visitor may have an answer now. LimitReached if not. Runs in the transaction that asks for it."""
    limits.count(
        "ask",
        visitor=person.group,
        per_visitor=settings.LANDING_QUESTIONS_PER_VISITOR,
        network=network,
        per_network=settings.LANDING_QUESTIONS_PER_NETWORK,
    )
    budget.admit()


@transaction.atomic
def write_to_us(
    person: Person, network: str, conversation_id: UUID | None, *, name: str, email: str, message: str
) -> ContactRequest:
    """Keep a message for staff, with the conversation. Problem 404 for one that is not theirs; raises LimitReached."""
    limits.count(
        "write",
        visitor=person.group,
        per_visitor=MESSAGES_PER_VISITOR,
        network=network,
        per_network=MESSAGES_PER_NETWORK,
    )
    conversation = _own(person, conversation_id) if conversation_id else None
    return ContactRequest.objects.create(conversation=conversation, name=name, email=email, message=message)


def _own(person: Person, conversation_id: UUID) -> Conversation:
    try:
        return Conversation.objects.of(person).get(pk=conversation_id, surface="landing")
    except Conversation.DoesNotExist:
        raise Problem(404, "not_found", "There is no such conversation.") from None
