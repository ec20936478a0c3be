"""Actions of visitors: ask a question, send a message to staff. Each checks its limits in the same transaction."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from accounts.people import Person
from conversations import actions
from conversations.access import own_conversation
from jobs.models import AiJob
from jobs.submission import Submission
from landing import admission, budget
from landing.kinds import ANSWER
from landing.models import ContactRequest

HOURLY_MESSAGES_PER_VISITOR = 3
HOURLY_MESSAGES_PER_NETWORK = 10


def ask(submission: Submission, network: str, question: str, conversation_id: UUID | None) -> AiJob:
    """Store the question and submit its job. Runs in the caller's transaction; raises LimitReached."""
    admission.count_question(submission.person, network)
    job = actions.ask(submission, ANSWER, question, conversation_id)
    budget.admit(ANSWER.name)  # last, so that its lock is held for the commit only
    return job


@transaction.atomic
def write_to_us(
    person: Person, network: str, conversation_id: UUID | None, *, name: str, email: str, message: str
) -> ContactRequest:
    """Store a message to staff, with the conversation. Raises Problem 404 if the conversation is not the person's,
    and LimitReached.
    """
    admission.count(
        "write",
        visitor=person.group,
        per_visitor=HOURLY_MESSAGES_PER_VISITOR,
        network=network,
        per_network=HOURLY_MESSAGES_PER_NETWORK,
    )
    conversation = own_conversation(person, conversation_id, surface=ANSWER.surface) if conversation_id else None
    return ContactRequest.objects.create(conversation=conversation, name=name, email=email, message=message)
