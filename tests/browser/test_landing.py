"""The landing page and its widget, as a visitor uses them."""

import re
from collections.abc import AsyncIterator
from datetime import date

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from conversations.models import Conversation
from landing.models import ContactRequest, Counter, CourseOffer, FaqEntry
from tests.browser.test_access import PHONE, assert_usable
from tests.support import database

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]

QUESTION = "How much is the SQL course?"
TRAP = "<img src=x onerror=alert(1)> [x](javascript:alert(2)) <script>alert(3)</script>"


def build(course) -> None:
    CourseOffer.objects.create(course=course, price="149", starts_on=date(2099, 3, 2), seats=7)
    FaqEntry.objects.create(question="Is there a zebra list?", answer=f"The zebra list is {TRAP}.")


def tear_down() -> None:
    for model in (CourseOffer, FaqEntry, ContactRequest, Counter):
        model.objects.all().delete()
    Conversation.objects.filter(surface="landing").delete()


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_context, sql_course) -> AsyncIterator[Page]:
    """A visitor at the landing page."""
    await database.call(build, sql_course)
    page = await (await open_context()).new_page()
    await page.goto("/")
    yield page
    await page.close()
    await database.call(tear_down)


async def ask(page: Page, question: str = QUESTION) -> None:
    await page.get_by_test_id("widget-question").fill(question)
    await page.get_by_test_id("widget-question").press("Enter")


async def completed(page: Page) -> str:
    """Wait for the end of the newest answer and return it."""
    answer = page.get_by_test_id("widget-answer").last
    await expect(answer).to_have_attribute("data-state", "completed")
    return await answer.inner_text()


async def test_question_is_answered_and_the_conversation_survives_a_reload(page, simulator):
    await page.get_by_test_id("ask-link").click()
    simulator.set(token_interval=0.05)
    await ask(page)
    await expect(page.get_by_test_id("widget-answer")).to_have_attribute("data-state", "streaming")
    await page.reload()
    answer = await completed(page)
    assert "€149" in answer and "{{" not in answer and "AI-generated" in answer
    simulator.set(token_interval=0)
    await ask(page, "And when does it start?")
    await expect(page.get_by_test_id("widget-answer")).to_have_count(2)
    assert "2 March 2099" in await completed(page)
    await page.reload()
    await expect(page.get_by_test_id("widget-answer")).to_have_count(2)
    assert "€149" in await page.get_by_test_id("widget-answer").first.inner_text()


async def test_answer_is_polled_without_a_socket(page):
    await page.route_web_socket("**/ws/jobs/", lambda socket: socket.close())
    await page.get_by_test_id("widget-open").click()
    await ask(page)
    assert "€149" in await completed(page)


async def test_unanswered_question_is_handed_over_with_the_conversation(page):
    await page.get_by_test_id("widget-open").click()
    await ask(page, "Do you teach piano?")
    await completed(page)
    await page.get_by_test_id("widget-answer").get_by_role("link", name="write to us").click()
    form = page.get_by_test_id("widget-contact")
    await expect(form).to_contain_text("answers by e-mail")
    await form.get_by_label("E-mail").fill("ada@example.org")
    await form.get_by_label("Message").fill("Piano, please")
    await page.get_by_test_id("widget-contact-send").click()
    await expect(page.get_by_test_id("widget-sent")).to_contain_text("ada@example.org")
    contact = await database.call(ContactRequest.objects.select_related("conversation").get)
    assert contact.conversation.title == "Do you teach piano?"


async def test_texts_of_the_site_and_of_answers_cannot_inject_markup(page):
    await page.get_by_text("Is there a zebra list?").click()
    await page.get_by_test_id("widget-open").click()
    await ask(page, "What is the zebra list?")
    assert "<script>alert(3)</script>" in await completed(page)
    for root in (page.locator("details"), page.get_by_test_id("widget-answer")):
        await expect(root.locator("img, script, a[href^=javascript]")).to_have_count(0)


async def test_widget_works_with_the_keyboard_alone(page):
    button = page.get_by_test_id("widget-open")
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("widget-question")).to_be_focused()
    await page.keyboard.type(QUESTION)
    await page.keyboard.press("Enter")
    await completed(page)
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("widget")).to_be_hidden()
    await expect(button).to_be_focused()


async def test_refused_question_shows_the_error_and_keeps_the_text(page):
    await page.get_by_test_id("widget-open").click()
    body = {"error": {"code": "too_many", "message": "Please try again later.", "retryAfter": 600}}
    await page.route("**/api/landing-assistant/query", lambda route: route.fulfill(status=429, json=body))
    await ask(page)
    await expect(page.get_by_test_id("widget-problem")).to_have_text(re.compile("try again later.*10 minutes"))
    await expect(page.get_by_test_id("widget-question")).to_have_value(QUESTION)
    await expect(page.get_by_test_id("widget-answer")).to_have_count(0)


async def test_widget_is_accessible_and_fits_a_phone(page, open_context):
    await assert_usable(page)
    phone = await (await open_context(**PHONE)).new_page()
    await phone.goto("/")
    await assert_usable(phone)
    await phone.get_by_test_id("widget-open").click()
    box = await phone.get_by_test_id("widget").bounding_box()
    assert (box["width"], box["height"]) == (390, 844)
    await expect(phone.get_by_role("dialog", name="Ask us")).to_be_visible()
    await assert_usable(phone)
    await ask(phone)
    await completed(phone)
    await phone.get_by_test_id("widget-answer").get_by_role("link", name="SQL").click()
    await expect(phone.get_by_test_id("widget")).to_be_hidden()
