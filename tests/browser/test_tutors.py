"""A tutor requests drafts, edits, regenerates and decides them, by keyboard and on a phone too."""

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support import database
from tests.tutors.conftest import learners, tutor  # noqa: F401  (fixtures)
from tutors.models import Draft

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def asked(learners):  # noqa: F811
    for by in (0, 1, 2):
        learners.ask("What is COALESCE?", by, "COALESCE and NULLIF")
    learners.ask("What does COALESCE return when all are NULL?", 1, "COALESCE and NULLIF", rating="down")
    learners.ask("Can I <b>use</b> Power BI?", 2)
    yield
    Draft.objects.all().delete()


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_context, tutor, sql_course, asked):  # noqa: F811
    page = await (await open_context(tutor, viewport={"width": 1280, "height": 900})).new_page()
    await page.goto(f"/courses/{sql_course.slug}/")
    await page.get_by_role("link", name="Tutor copilot").click()
    return page


def drafts(page):
    return page.locator("#draft-list").get_by_test_id("draft")


async def test_quiz_is_proposed_edited_regenerated_and_decided(page):
    await page.get_by_label("Quiz on a lesson").select_option(label="Joins: putting tables together")
    await page.get_by_role("button", name="Propose", exact=True).click()
    await expect(page.get_by_test_id("message-assistant")).to_contain_text("I have drafted 4 quiz questions")
    await expect(drafts(page)).to_have_count(4)
    first, second = drafts(page).nth(0), drafts(page).nth(1)
    await expect(first.get_by_text("AI-generated")).to_be_visible()
    await expect(first.locator(".is-right")).to_have_count(1)

    await first.get_by_role("button", name="Edit").press("Enter")
    question = first.get_by_role("textbox", name="Question")
    await expect(question).to_be_focused()
    await question.fill("Which join keeps <i>all</i> customers?")
    await first.get_by_role("radio").nth(0).check()
    await first.get_by_role("button", name="Save").click()
    await expect(first).to_contain_text("Which join keeps <i>all</i> customers?")
    await expect(first.locator(".options li").nth(0)).to_have_class("is-right")

    others = await drafts(page).nth(2).inner_text()
    before = await second.locator(".quiz-question").inner_text()
    await second.get_by_role("button", name="Regenerate").click()
    await second.get_by_label("What should be different?").fill("Harder")
    await second.get_by_role("button", name="Rewrite").click()
    await expect(second).to_contain_text("Rewritten.")
    await expect(second.locator(".quiz-question")).not_to_have_text(before)
    assert await drafts(page).nth(2).inner_text() == others

    await first.get_by_role("button", name="Accept").press("Enter")
    await expect(drafts(page)).to_have_count(3)
    await expect(drafts(page).nth(0).get_by_role("button", name="Accept")).to_be_focused()
    await drafts(page).nth(2).get_by_role("button", name="Discard").click()
    await drafts(page).nth(2).get_by_role("button", name="Really discard?").click()
    await expect(drafts(page)).to_have_count(2)
    await page.get_by_text("Accepted (1)").click()
    await expect(page.locator("#accepted")).to_contain_text("Which join keeps <i>all</i> customers?")
    states = await database.call(lambda: sorted(Draft.objects.values_list("state", flat=True)))
    assert states == ["accepted", "discarded", "draft", "draft"]


async def test_edit_during_a_regeneration_is_kept(page):
    await expect(page.get_by_test_id("send-button")).to_be_enabled()  # the scripts have loaded
    await page.get_by_test_id("question-input").fill("Propose a quiz with 1 question on joins")
    await page.get_by_test_id("question-input").press("Enter")
    await expect(drafts(page)).to_have_count(1)
    draft = drafts(page).first
    await draft.get_by_role("button", name="Edit").click()
    await database.call(lambda: Draft.objects.update(version=7))
    await draft.get_by_role("textbox", name="Question").fill("Mine?")
    await draft.get_by_role("button", name="Save").click()
    await expect(draft).to_contain_text("has changed in the meantime")
    await expect(draft.get_by_role("textbox", name="Question")).to_have_value("Mine?")
    await draft.get_by_role("button", name="Save").click()
    await expect(draft.locator(".quiz-question")).to_have_text("Mine?")


async def test_open_question_gets_a_reply_on_a_phone(open_context, tutor, sql_course, asked):  # noqa: F811
    page = await (await open_context(tutor, **PHONE)).new_page()
    await page.goto(f"/tutor/courses/{sql_course.slug}/")
    await page.get_by_role("button", name="Learners 2").tap()
    questions = page.get_by_test_id("open-question")
    await expect(questions).to_have_count(2)
    await expect(questions.first).to_contain_text("Can I <b>use</b> Power BI?")
    await expect(page.locator("#theme-list")).to_contain_text("4 questions of 3 learners · 1 not answered well")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await questions.nth(1).get_by_role("button", name="Draft a reply").tap()
    await expect(page.get_by_test_id("message-assistant")).to_contain_text("Good question!")
    await expect(page.get_by_role("button", name="Drafts 1")).to_be_visible()
    await page.get_by_role("button", name="Drafts 1").tap()
    await expect(drafts(page)).to_contain_text("What does COALESCE return when all are NULL?")
    await drafts(page).get_by_role("button", name="Accept").tap()
    await expect(page.get_by_role("button", name="Learners 1")).to_be_visible()
