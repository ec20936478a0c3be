"""Accessibility: keyboard only, screen readers, phones, reduced motion."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.pages import Chat

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
MOVING = "() => document.getAnimations().length"
WITH_CODE = "Which query is not disturbed by NULL?"

# Lists accessibility errors: missing names, labels, headings, landmarks.
COMPLAINTS = """() => {
    const shown = (selector) => [...document.querySelectorAll(selector)].filter((node) => node.checkVisibility());
    const nameOf = (node) =>
        node.labels?.[0]?.textContent || node.getAttribute("aria-label") || node.textContent ||
        document.getElementById(node.getAttribute("aria-labelledby"))?.textContent || "";
    const nameless = shown("a[href], button, input, textarea, select, nav").filter((node) => !nameOf(node).trim());
    const complaints = nameless.map((node) => `no name: ${node.outerHTML}`);
    const count = (selector) => shown(selector).length;
    if (count("h1") !== 1) complaints.push(`${count("h1")} h1`);
    if (count("main") !== 1 || count("body > header") !== 1) complaints.push("no main or no header");
    if (!document.documentElement.lang || !document.title) complaints.push("no language or no title");
    const levels = shown("h1, h2, h3, h4, h5, h6").map((node) => Number(node.tagName[1]));
    levels.forEach((level, at) => at && level > levels[at - 1] + 1 && complaints.push(`h${levels[at - 1]}, h${level}`));
    const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
    if (new Set(ids).size < ids.length) complaints.push("an id twice");
    for (const node of shown("img:not([alt])")) complaints.push(`no alt: ${node.outerHTML}`);
    return complaints;
}"""


async def assert_usable(page: Page) -> None:
    """Assert that there are no accessibility errors and no horizontal scrolling."""
    assert await page.evaluate(COMPLAINTS) == [], page.url
    width, window = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= window, page.url


async def test_every_page_is_accessible_and_fits_a_phone(open_context, learner, sql_course):
    page = await (await open_context(**PHONE)).new_page()
    await page.goto("/accounts/login/")
    await assert_usable(page)
    context = await open_context(learner, **PHONE)
    page = await context.new_page()
    await page.goto("/courses/")
    await assert_usable(page)
    await page.get_by_role("link", name=sql_course.title).click()
    await expect(page.get_by_role("link", name="Ask the assistant")).to_be_visible()
    await assert_usable(page)
    await page.get_by_role("link", name="NULL and three-valued logic").click()
    await expect(page.locator("#lesson table").first).to_be_visible()
    await assert_usable(page)
    await page.get_by_role("link", name="Ask about this lesson").click()
    chat = Chat(page, sql_course)
    await expect(chat.input).not_to_be_focused()  # focus would open the on-screen keyboard
    await chat.input.fill(WITH_CODE)
    await chat.send.tap()
    await expect(chat.answer.body.locator("pre")).to_be_visible()
    await chat.answer.becomes("completed")
    await assert_usable(page)
    await page.get_by_role("button", name="Earlier").tap()
    await expect(page.get_by_role("link", name=WITH_CODE)).to_be_visible()
    await assert_usable(page)


async def test_answer_is_announced_and_reduced_motion_is_respected(chat, simulator):
    spoken = chat.page.locator("#announcer")
    await expect(spoken).to_have_attribute("role", "status")
    await expect(chat.connection).to_have_attribute("role", "status")
    await expect(chat.error).to_have_attribute("role", "alert")
    simulator.set(first_token=0.8)
    answer = await chat.ask()
    await expect(answer.element).to_have_attribute("aria-busy", "true")
    assert await chat.page.evaluate(MOVING) > 0
    await chat.page.emulate_media(reduced_motion="reduce")
    assert await chat.page.evaluate(MOVING) == 0
    await expect(spoken).to_have_text("Writing the answer")
    await answer.becomes("completed")
    await expect(answer.element).to_have_attribute("aria-busy", "false")
    await expect(spoken).to_contain_text("returns the first argument that is not NULL")
    await expect(answer.citations.first).to_have_accessible_name(
        "Source 1: NULL and three-valued logic \u203a COALESCE and NULLIF"
    )
    await assert_usable(chat.page)


async def test_assistant_works_with_the_keyboard_alone(chat, simulator):
    keyboard, page = chat.page.keyboard, chat.page
    skip = page.get_by_role("link", name="Skip to content")
    await press_until(page, "Shift+Tab", skip)
    await keyboard.press("Enter")
    assert await press_until(page, "Tab", chat.input) <= 8  # past the conversations and the suggestions
    await keyboard.type("What does")
    await keyboard.press("Shift+Enter")
    await keyboard.type("COALESCE return?")
    await chat.input.dispatch_event("keydown", {"key": "Enter", "isComposing": True})  # ends an IME composition
    await expect(chat.answers).to_have_count(0)
    await expect(chat.input).to_have_value("What does\nCOALESCE return?")
    simulator.set(token_interval=0.5)
    await keyboard.press("Enter")
    await expect(chat.questions).to_have_text("What does COALESCE return?")
    await chat.answer.is_under_way(10)
    await keyboard.press("Tab")
    await expect(chat.stop).to_be_focused()
    await keyboard.press("Enter")
    await chat.answer.becomes("cancelled")
    await expect(chat.input).to_be_focused()


async def press_until(page: Page, key: str, target) -> int:
    """Press a key until this element has the focus; returns the number of presses."""
    for times in range(1, 30):
        await page.keyboard.press(key)
        if await target.evaluate("node => node === document.activeElement"):
            return times
    raise AssertionError(f"{key} does not lead to {target}")
