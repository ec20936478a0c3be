"""Conversations of visitors are deleted when their cookies have expired."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from conversations.models import Conversation, Message
from jobs.backends import connections
from jobs.models import AiJob
from jobs.retention import PRUNING
from landing import retention
from landing.models import ContactRequest
from tests.support import run_pending


@pytest.fixture
def conversation(visitor):
    """A visitor's conversation with an answer."""
    return Conversation.objects.get(pk=visitor.answer("What does the SQL course cost?")["conversationId"])


def grow_old(conversation, days=31):
    Conversation.objects.filter(pk=conversation.pk).update(updated_at=timezone.now() - timedelta(days=days))


def test_old_conversation_is_deleted_and_its_cost_is_kept(conversation):
    grow_old(conversation)
    assert (retention.delete_conversations(), retention.delete_conversations()) == (1, 0)
    assert not Message.objects.filter(conversation_id=conversation.pk).exists()
    job = AiJob.objects.get(kind="landing.answer")
    assert (job.payload, job.result) == ({}, None) and job.calls.exists()


def test_the_daily_job_deletes_them_too(conversation):
    grow_old(conversation)
    assert run_pending(PRUNING.name, {}).result["visitors' conversations"] == 1
    assert not Conversation.objects.filter(pk=conversation.pk).exists()


def test_deleting_leaves_no_connections_to_redis_behind(visitor):
    for _ in range(3):
        grow_old(Conversation.objects.get(pk=visitor.answer("What does it cost?")["conversationId"]))
    before = connected_clients()
    with ThreadPoolExecutor(1) as database_thread:  # without an event loop, as in a worker
        assert database_thread.submit(in_a_thread, retention.delete_conversations).result() == 3
    assert connected_clients() <= before


def connected_clients():
    return connections.redis().info("clients")["connected_clients"]


def in_a_thread(work):
    try:
        return work()
    finally:
        connection.close()


def test_newer_conversations_and_those_of_learners_stay(conversation, learner):
    grow_old(conversation, days=29)
    grow_old(Conversation.objects.create(surface="landing", owner=learner))
    assert retention.delete_conversations() == 0


def test_handed_over_conversation_stays_until_staff_have_answered(conversation):
    contact = ContactRequest.objects.create(conversation=conversation, email="a@example.org", message="?")
    grow_old(conversation)
    assert retention.delete_conversations() == 0
    ContactRequest.objects.filter(pk=contact.pk).update(is_answered=True)
    assert retention.delete_conversations() == 1
