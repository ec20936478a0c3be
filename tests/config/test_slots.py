"""Apps fill slots of pages of lower apps and add inlines to the admin of other apps' models."""

import pytest
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.sessions.models import Session
from django.template import Context, Engine

from config import slots
from config.admin import register_inline
from conversations.admin import RatingInline
from jobs.models import AiJob


@pytest.fixture
def rendered(tmp_path, monkeypatch):
    """Renders a template with a slot; registrations of the test are removed afterwards."""
    monkeypatch.setattr(slots, "_templates", {})
    for name, text in {"one": "<i>{{ who }}</i> ", "two": "<b>{{ who }}{{ more }}</b> "}.items():
        (tmp_path / f"{name}.html").write_text(text)
    engine = Engine([tmp_path], libraries={"slots": "config.templatetags.slots"})
    page = engine.from_string('{% load slots %}{% slot "here" %}{{ more }}.')
    return lambda: page.render(Context({"who": "<Ada>"}))


def test_empty_slot_renders_nothing(rendered):
    assert rendered() == "."


def test_slot_renders_each_registration_once_in_order(rendered):
    for _ in range(2):
        slots.register("here", "two.html")
        slots.register("here", "one.html")
    slots.register("elsewhere", "one.html")
    assert rendered() == "<b>&lt;Ada&gt;</b> <i>&lt;Ada&gt;</i> ."


def test_context_of_one_registration_does_not_leak_into_others(rendered):
    slots.register("here", "two.html", lambda page: {"more": f"{page['who']} & more", "who": ""})
    slots.register("here", "one.html")
    assert rendered() == "<b>&lt;Ada&gt; &amp; more</b> <i>&lt;Ada&gt;</i> ."


def test_inline_is_registered_once():
    register_inline(AiJob, RatingInline)
    assert list(admin.site.get_model_admin(AiJob).inlines).count(RatingInline) == 1


def test_inline_of_a_model_without_an_admin_is_refused():
    with pytest.raises(NotRegistered):
        register_inline(Session, RatingInline)


def test_course_page_links_the_copilot_for_its_tutors_only(client, learner, stranger, sql_course):
    sql_course.tutors.add(stranger)
    for user, links in ((learner, ["assistant"]), (stranger, ["assistant", "tutor"])):
        client.force_login(user)
        page = client.get(f"/courses/{sql_course.slug}/").content.decode()
        addresses = {
            "assistant": f"/courses/{sql_course.slug}/assistant/",
            "tutor": f"/tutor/courses/{sql_course.slug}/",
        }
        assert [name for name, address in addresses.items() if f'href="{address}"' in page] == links
