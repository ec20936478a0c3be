"""A small site, and visitors whose requests are served in the test's process, so that settings can be changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.people import VISITOR_COOKIE
from conversations.models import Conversation
from courses.models import Course
from jobs.models import AiJob
from landing.models import ContactRequest, Counter, CourseOffer, FaqEntry, SitePage
from tests.support import Json, perform

QUERY = "/api/landing-assistant/query"
CONTACT = "/api/landing-assistant/contact"
ORIGIN = "http://localhost"


@pytest.fixture
def site(sql_course: Course) -> Iterator[CourseOffer]:
    """One course offer, one FAQ entry, one page."""
    offer = CourseOffer.objects.create(
        course=sql_course, price=Decimal("149.00"), currency="EUR", starts_on=date(2099, 3, 2), seats=7
    )
    FaqEntry.objects.create(question="Can I get a refund?", answer="Cancel within 14 days for a full refund.")
    SitePage.objects.create(slug="students", title="Students", body="Students get a discount of 20% on every course.")
    yield offer
    for model in (CourseOffer, FaqEntry, SitePage):
        model.objects.all().delete()


@pytest.fixture(autouse=True)
def no_traces(clean_slate) -> Iterator[None]:
    """Delete counters, messages and conversations of visitors after the test."""
    yield
    for model in (Counter, ContactRequest, Conversation):
        model.objects.all().delete()


class Visitor:
    """An anonymous browser that sends our own Origin."""

    def __init__(self, address: str = "10.0.0.1", **headers: str) -> None:
        self.browser = Client(HTTP_HOST="localhost", REMOTE_ADDR=address, headers={"Origin": ORIGIN} | headers)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.browser.post(path, body, content_type="application/json", headers=headers)

    def ask(self, question: str = "How much is the SQL course?", **more: Any) -> Any:
        return self.post(QUERY, {"question": question, **more})

    def answer(self, question: str = "How much is the SQL course?", **more: Any) -> Json:
        """Ask, run the job, and return it."""
        response = self.ask(question, **more)
        assert response.status_code == 202, response.content
        accepted = response.json()
        perform(accepted["jobId"])
        return self.browser.get(accepted["links"]["self"]).json() | {"conversationId": accepted["conversationId"]}

    @property
    def cookie(self) -> Any:
        return self.browser.cookies.get(VISITOR_COOKIE)


@pytest.fixture
def visitor(site) -> Visitor:
    return Visitor()


@pytest.fixture
def nothing_asked() -> Iterator[None]:
    """Assert after the test that no job, conversation, message or counter was created."""
    yield
    assert not AiJob.objects.exists() and not Conversation.objects.exists() and not ContactRequest.objects.exists()
    assert not Counter.objects.exists()
