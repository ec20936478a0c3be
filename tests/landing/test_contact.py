"""What the assistant does not know it hands over: a message, with the conversation, for a person to answer."""

import logging

import pytest

from conversations.models import Conversation
from landing.models import ContactRequest
from tests.landing.conftest import CONTACT, Visitor

MESSAGE = {"name": "Ada", "email": "ada@example.org", "message": "Do you teach <b>piano</b>?"}


def test_message_reaches_staff_with_the_conversation(visitor, staff, caplog):
    asked = visitor.answer("Do you teach piano <i>too</i>?")
    response = visitor.post(CONTACT, MESSAGE | {"conversationId": asked["conversationId"]})
    assert response.status_code == 201 and "ada@example.org" in response.json()["message"]
    contact = ContactRequest.objects.get()
    visitor.browser.force_login(staff)
    assert "ada@example.org" in visitor.browser.get("/admin/landing/contactrequest/").content.decode()
    with caplog.at_level(logging.INFO, logger="landing.admin"):
        page = visitor.browser.get(f"/admin/landing/contactrequest/{contact.pk}/change/").content.decode()
    assert "Do you teach piano &lt;i&gt;too&lt;/i&gt;?" in page and "&lt;b&gt;piano&lt;/b&gt;" in page
    assert f"contact request {contact.pk} opened by {staff.pk}" in caplog.text


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
