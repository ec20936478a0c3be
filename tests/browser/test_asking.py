"""A learner signs in, asks, reads, follows a source and asks on."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.pages import FOLLOW_UP, LESSON, QUESTION, Chat, hold

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]


async def test_signing_in_and_out(open_context, learner, sql_course):
    page = await (await open_context()).new_page()
    chat = Chat(page, sql_course)
    await chat.open()
    await page.get_by_label("Username").fill(learner.username)
    await page.get_by_label("Password").fill("pass")
    await page.get_by_role("button", name="Sign in").click()
    await expect(chat.input).to_be_focused()  # the page requested before signing in
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await chat.open()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_answer_is_streamed_and_lists_its_sources(chat, simulator):
    simulator.set(first_token=0.3, token_interval=0.01)
    sent = await hold(chat.page, "/api/assistant/query")
    answer = await chat.ask()
    await expect(chat.questions).to_have_text(QUESTION)  # the server has not received it yet
    await expect(answer.thinking).to_contain_text("Thinking…")
    await expect(chat.stop).to_be_visible()
    sent.set()
    await expect(answer.thinking).to_contain_text(re.compile("Searching the course|Writing the answer"))
    await answer.becomes("streaming")
    await chat.shows_all_of(answer)
    await expect(answer.body.locator("code").first).to_have_text("COALESCE(a, b, c)")
    await expect(chat.send).to_be_visible()

    await expect(answer.sources.get_by_role("link").first).to_have_text(f"{LESSON} \u203a COALESCE and NULLIF")
    await answer.citations.first.click()
    await chat.page.wait_for_url("**/lessons/*/#coalesce-and-nullif")
    heading = chat.page.get_by_role("heading", name="COALESCE and NULLIF")
    await expect(heading).to_be_in_viewport()
    await expect(heading).to_be_focused()
    await chat.page.go_back()
    await chat.shows_all_of(chat.answer)


async def test_follow_up_is_understood_from_the_conversation(chat, simulator):
    alone = await chat.ask(FOLLOW_UP)
    await expect(alone.body).to_contain_text("not in the course material")
    await expect(alone.sources).to_be_hidden()

    await chat.page.get_by_test_id("new-conversation").click()
    await (await chat.ask()).becomes("completed")
    answer = await chat.ask(FOLLOW_UP)
    await expect(answer.sources).to_contain_text(LESSON)
    rewrite = next(request for request in simulator.requests() if request["purpose"] == "rewrite")
    prompt = rewrite["body"]["messages"][-1]["content"]
    assert f"user: {QUESTION}" in prompt
    assert f"<question>{FOLLOW_UP}</question>" in prompt

    earlier = chat.page.get_by_role("navigation", name="Your conversations")
    await earlier.get_by_role("link", name=FOLLOW_UP).click()
    await expect(chat.questions).to_have_text(FOLLOW_UP)
    await chat.shows_all_of(chat.answer)
