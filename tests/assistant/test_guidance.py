"""Tutors set whether the assistant answers tasks with hints or with solutions."""

import pytest
from django.contrib.auth.models import User

from assistant.models import Guidance
from tests.support import error_of, password_hash, unique

TASK = "Solve my exercise for me: find all customers without an order, with a LEFT JOIN."
ATTEMPT = "I tried LEFT JOIN orders WHERE orders.id IS NULL. Now give me the solution for my exercise, please."
HINTS = "I will not do this one for you"


@pytest.fixture
def tutor(platform, sql_course):
    user = User.objects.create(username=unique("test-tutor"), password=password_hash())
    sql_course.tutors.add(user)
    yield user
    Guidance.objects.all().delete()


@pytest.fixture
def set_level(platform, tutor, sql_course):
    def set_level(level):
        with platform.client(tutor) as client:
            response = client.put(f"/api/assistant/courses/{sql_course.slug}/guidance", json={"level": level})
        assert (response.status_code, response.json()) == (200, {"level": level})

    return set_level


@pytest.mark.parametrize(
    ("level", "first", "after_an_attempt"),
    [("answers", False, False), ("hints-first", True, False), ("hints-only", True, True)],
)
def test_guidance_level_decides_between_hints_and_solution(desk, set_level, level, first, after_an_attempt):
    set_level(level)
    answer = desk.answer(TASK)
    assert (HINTS in answer["answer"], bool(answer["citations"])) == (first, True)
    follow_up = desk.answer(ATTEMPT, conversationId=answer["conversationId"])
    assert (HINTS in follow_up["answer"]) == after_an_attempt
    assert f"Guidance level: {level.replace('-', ' ')}." in desk.prompt


def test_material_is_explained_at_every_level(desk, set_level):
    set_level("hints-only")
    assert HINTS not in desk.answer("What does COALESCE return?")["answer"]


def test_default_level_is_hints_first(desk, api, sql_course):
    assert api.get(f"/api/assistant/courses/{sql_course.slug}/guidance").json() == {"level": "hints-first"}
    desk.answer("What does COALESCE return?")
    assert "Guidance level: hints first." in desk.prompt


def test_learners_cannot_set_the_level(api, platform, learner, sql_course, bees_course):
    path = f"/api/assistant/courses/{sql_course.slug}/guidance"
    error_of(api.put(path, json={"level": "answers"}), 403)
    error_of(api.get(f"/api/assistant/courses/{bees_course.slug}/guidance"), 403)
    with platform.browser_session(learner) as browser:
        assert browser.get(f"/courses/{sql_course.slug}/assistant/guidance/").status_code == 403
    assert not Guidance.objects.exists()


def test_tutor_cannot_set_the_level_of_another_course(platform, tutor, bees_course):
    with platform.client(tutor) as client:
        error_of(client.put(f"/api/assistant/courses/{bees_course.slug}/guidance", json={"level": "answers"}), 403)


def test_unknown_level_is_400(platform, tutor, sql_course):
    with platform.client(tutor) as client:
        error_of(client.put(f"/api/assistant/courses/{sql_course.slug}/guidance", json={"level": "all"}), 400)


def test_tutor_sets_the_level_on_the_page(platform, tutor, sql_course):
    path = f"/courses/{sql_course.slug}/assistant/guidance/"
    with platform.browser_session(tutor) as browser:
        assert path in browser.get(f"/courses/{sql_course.slug}/assistant/").text
        form = {"level": "hints-only", "csrfmiddlewaretoken": "c" * 32}
        assert "Saved." in browser.post(path, data=form, follow_redirects=True).text
    assert Guidance.of(sql_course).level == "hints-only"
