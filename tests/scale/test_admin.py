"""No page of the admin reads more rows than it shows, whatever is filtered, searched or sorted."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib.auth.models import User

from config.admin import MOST_COUNTED
from conversations.models import Conversation
from jobs.models import AiJob

# A list is in the order of time. Where a filter lets many rows through, the cheapest way to a page, and to a count up
# to a thousand, is to walk in that order and leave out the others.
MOST_ROWS = 30_000
LISTS = {
    "jobs/aijob": ("past-19", "0000", "q", "visitor"),
    "jobs/reading": ("staff-1", "job:"),
    "conversations/conversation": ("past-19", "0000"),
    "landing/contactrequest": ("past-19@example.org", "Person 7", "call"),
    "tutors/draft": (),
    "courses/enrollment": ("past-19",),
}


def links_of(page: str) -> set[str]:
    """The links of a list to itself with a filter, an order or a period."""
    return {unescape(link) for link in re.findall(r'href="(\?[^"]*)"', page)}


@pytest.mark.parametrize("name", LISTS)
def test_list_with_each_filter_and_order(recorder, desk, name):
    path = f"/admin/{name}/"
    with recorder.recording(MOST_ROWS):
        first = desk.get(path)
        assert first.status_code == 200
        links = links_of(first.content.decode())
        for link in links:
            assert desk.get(path + link).status_code == 200, link


def test_count_is_bounded_and_says_so(desk):
    assert f"{MOST_COUNTED}+ AI jobs" in desk.get("/admin/jobs/aijob/").content.decode()
    running = AiJob.objects.filter(status=AiJob.Status.RUNNING).count()
    assert f"{running} AI jobs" in desk.get("/admin/jobs/aijob/?status__exact=running").content.decode()
    last = desk.get("/admin/jobs/aijob/?p=10")
    assert last.status_code == 200 and "p=11" not in last.content.decode()


@pytest.mark.parametrize(("name", "term"), [(name, term) for name, terms in LISTS.items() for term in terms])
def test_list_with_each_search(recorder, desk, name, term):
    with recorder.recording(MOST_ROWS):
        assert desk.get(f"/admin/{name}/", {"q": term}).status_code == 200


def test_pages_of_rows(recorder, desk):
    job = AiJob.objects.exclude(status__in=AiJob.ACTIVE).first()
    conversation = Conversation.objects.first()
    with recorder.recording(MOST_ROWS):
        assert desk.get(f"/admin/jobs/aijob/{job.pk}/change/").status_code == 200
        assert desk.get(f"/admin/conversations/conversation/{conversation.pk}/change/").status_code == 200
        assert desk.get(f"/admin/auth/user/{User.objects.first().pk}/change/").status_code == 200
