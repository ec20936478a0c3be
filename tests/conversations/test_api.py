"""A conversation is accessible only to its owner, a user or a visitor."""

import httpx2
import pytest
from django.core import signing

from accounts.people import VISITOR_COOKIE, Person
from conversations.models import Conversation
from tests.support import error_of, unique


def visitor_client(platform, visitor):
    cookie = signing.Signer(salt=VISITOR_COOKIE).sign(visitor)
    return httpx2.Client(base_url=platform.url, cookies={VISITOR_COOKIE: cookie})


@pytest.fixture
def visitors():
    """A conversation of a visitor, without a course."""
    conversation = Conversation.objects.create(surface="landing", visitor=unique("v"), title="Prices")
    conversation.messages.create(role="user", text="What does it cost?")
    yield conversation
    conversation.delete()


def test_visitor_reads_their_own_conversation(platform, visitors):
    with visitor_client(platform, visitors.visitor) as client:
        body = client.get(f"/api/conversations/{visitors.pk}").json()
    assert (body["courseId"], body["title"], body["activeJobId"]) == (None, "Prices", None)
    assert [(m["role"], m["text"], m["citations"]) for m in body["messages"]] == [("user", "What does it cost?", [])]


def test_others_cannot_read_the_conversation(platform, api, anonymous, visitors):
    path = f"/api/conversations/{visitors.pk}"
    with visitor_client(platform, "other") as other:
        error_of(other.get(path), 404)
    error_of(api.get(path), 404)
    error_of(anonymous.get(path), 401)


def test_system_owns_no_conversation(visitors):
    Conversation.objects.filter(pk=visitors.pk).update(visitor="")
    assert not Conversation.objects.of(Person()).exists()
    Conversation.objects.filter(pk=visitors.pk).update(visitor=visitors.visitor)
    assert Conversation.objects.of(Person(visitor=visitors.visitor)).get() == visitors
