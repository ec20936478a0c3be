"""Contact messages: a visitor's question, with its conversation, for staff to answer."""

import pytest
from django.contrib.auth.models import Permission, User

from conversations.models import Conversation
from jobs.models import Reading
from landing.models import ContactRequest
from tests.landing.conftest import CONTACT, Visitor

MESSAGE = {"name": "Ada", "email": "ada@example.org", "message": "Do you teach <b>piano</b>?"}


def test_message_reaches_staff_with_the_conversation(visitor, staff):
    asked = visitor.answer("Do you teach piano <i>too</i>?")
    response = visitor.post(CONTACT, MESSAGE | {"conversationId": asked["conversationId"]})
    assert response.status_code == 201 and "ada@example.org" in response.json()["message"]
    contact = ContactRequest.objects.get()
    visitor.browser.force_login(staff)
    assert "ada@example.org" in visitor.browser.get("/admin/landing/contactrequest/").content.decode()
    page = opened(visitor, contact)
    assert "Do you teach piano &lt;i&gt;too&lt;/i&gt;?" in page and "&lt;b&gt;piano&lt;/b&gt;" in page
    [note] = Reading.objects.filter(reader_id=staff.pk)
    assert note.what == f"conversation:{contact.conversation_id}"


def test_conversation_is_shown_only_with_the_permission(visitor, learner):
    asked = visitor.answer("Do you teach piano?")
    visitor.post(CONTACT, MESSAGE | {"conversationId": asked["conversationId"]})
    User.objects.filter(pk=learner.pk).update(is_staff=True)
    learner.user_permissions.set(Permission.objects.filter(codename="change_contactrequest"))
    visitor.browser.force_login(learner)
    page = opened(visitor, ContactRequest.objects.get())
    assert "&lt;b&gt;piano&lt;/b&gt;" in page and "Do you teach piano?" not in page
    assert not Reading.objects.exists()


def opened(visitor, contact):
    """The admin's page of one message."""
    return visitor.browser.get(f"/admin/landing/contactrequest/{contact.pk}/change/").content.decode()


def test_message_needs_no_name_no_conversation_and_no_cookie(visitor):
    response = visitor.post(CONTACT, {"email": "a@example.org", "message": "Hello"})
    assert response.status_code == 201 and visitor.cookie
    contact = ContactRequest.objects.get()
    assert (contact.name, contact.conversation) == ("", None)


@pytest.mark.parametrize(
    "wrong", [{"email": "nobody"}, {"email": ""}, {"message": ""}, {"message": "x" * 2001}, {"name": "x" * 101}]
)
def test_bad_message_is_400(visitor, wrong, nothing_asked):
    assert visitor.post(CONTACT, MESSAGE | wrong).status_code == 400


def test_somebody_elses_conversation_is_not_handed_over(visitor):
    theirs = visitor.ask().json()["conversationId"]
    other = Visitor("10.9.9.9")
    assert other.post(CONTACT, MESSAGE | {"conversationId": theirs}).status_code == 404
    assert not ContactRequest.objects.exists() and Conversation.objects.exists()


def test_messages_are_throttled(visitor):
    statuses = [visitor.post(CONTACT, MESSAGE).status_code for _ in range(4)]
    assert statuses == [201, 201, 201, 429]
    neighbours = [Visitor().post(CONTACT, MESSAGE).status_code for _ in range(8)]
    assert neighbours == [201] * 7 + [429]
