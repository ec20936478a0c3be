"""From a lesson to the assistant: explain, summarise, rate, follow suggestions, manage conversations."""

import re

import pytest
from playwright.async_api import expect

from conversations.models import Conversation, Message
from tests.browser.pages import Chat
from tests.support import database

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]

SELECT = """() => {
    const range = document.createRange();
    range.selectNodeContents(document.querySelector("#lesson p"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
}"""


@pytest.fixture
def joins(sql_course):
    return sql_course.lessons.get(slug="05-joins")


async def reading(context, lesson):
    page = await context.new_page()
    await page.goto(f"/lessons/{lesson.pk}/")
    await expect(page.locator("#lesson h2").first).to_be_visible()
    return Chat(page, lesson.course)


async def test_selected_part_of_a_lesson_is_explained(context, joins):
    chat = await reading(context, joins)
    explain = chat.page.get_by_role("button", name="Explain this")
    await expect(explain).to_be_hidden()
    await chat.page.evaluate(SELECT)
    await expect(explain).to_be_in_viewport()
    await explain.click()
    await chat.is_accepted()
    await expect(chat.questions).to_contain_text("Explain this:\n\n“The shop keeps customers, orders and products")
    await expect(chat.answer.sources).to_contain_text(joins.title)
    await chat.page.reload()  # a reload does not ask the question again
    await chat.answer.becomes("completed")
    await expect(chat.questions).to_have_count(1)


async def test_lesson_is_summarised_and_then_deselected(context, joins, simulator):
    chat = await reading(context, joins)
    await chat.page.get_by_role("button", name="Summarise this lesson").click()
    await chat.answer.becomes("completed")
    await expect(chat.answer.body).to_contain_text("in short")
    await expect(chat.page.locator("#about-lesson")).to_contain_text(joins.title)
    await chat.page.get_by_role("button", name="Ask about the whole course").click()
    await (await chat.ask("What is NULL?")).becomes("completed")
    prompts = [r["body"]["messages"][0]["content"] for r in simulator.requests() if r["purpose"] == "answer"]
    assert ["is reading the lesson" in prompt for prompt in prompts] == [True, False]


async def test_link_to_the_assistant_submits_no_question(context, joins, sql_course):
    chat = Chat(await context.new_page(), sql_course)
    await chat.page.goto(f"{chat.path}?lesson={joins.pk}")
    await expect(chat.send).to_be_enabled()
    await expect(chat.answers).to_have_count(0)


async def test_suggested_question_is_asked(chat):
    answer = await chat.ask()
    suggested = answer.element.get_by_test_id("follow-ups").get_by_role("button")
    await expect(suggested.first).to_be_visible()
    question = await suggested.first.inner_text()
    await suggested.first.click()
    await expect(chat.questions.last).to_have_text(question)
    await expect(suggested.first).to_be_hidden()  # suggestions are shown for the newest answer only
    await chat.answer.becomes("completed")
    await expect(chat.answer.element.get_by_test_id("follow-ups")).to_be_visible()
    await chat.page.reload()
    await expect(chat.answer.element.get_by_test_id("follow-ups")).to_be_visible()
    await expect(chat.page.get_by_test_id("follow-ups").first).to_be_hidden()


async def test_answer_is_rated_with_a_reason(chat):
    answer = await chat.ask()
    await answer.becomes("completed")
    down = answer.element.get_by_role("button", name="Bad answer")
    await down.click()
    await answer.element.get_by_label("Why?").fill("Too short")
    await answer.element.get_by_role("button", name="Send").click()
    await expect(answer.element.get_by_text("Thank you.")).to_be_visible()
    rated = await database.call(Message.objects.filter(conversation=chat.conversation_id, role="assistant").get)
    assert (rated.rating, rated.reason) == ("down", "Too short")
    await chat.page.reload()
    await expect(chat.answer.element.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")


async def test_every_answer_is_labelled_as_ai_during_and_after_streaming(chat, simulator):
    simulator.set(token_interval=0.2)
    answer = await chat.ask()
    mark = answer.element.get_by_test_id("ai-mark")
    await answer.is_under_way()
    await expect(mark).to_be_visible()
    await chat.stop.click()
    await answer.becomes("cancelled")
    await expect(mark).to_be_visible()


async def test_conversation_is_renamed_exported_and_deleted(chat):
    await (await chat.ask()).becomes("completed")
    page, conversation_id = chat.page, chat.conversation_id
    entry = page.locator("#history li").first
    more = entry.get_by_label("Rename, export or delete")
    await more.click()
    await entry.get_by_role("button", name="Rename").click()
    await entry.get_by_label("Title of the conversation").fill("<b>Missing values</b>")
    await page.keyboard.press("Enter")
    await expect(entry.get_by_role("link").first).to_have_text("<b>Missing values</b>")
    await more.click()
    async with page.expect_download() as download:
        await entry.get_by_role("link", name="Export").click()
    assert re.fullmatch(r"bmissing-valuesb\.md", (await download.value).suggested_filename)
    await entry.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Keep it").click()
    await more.click()
    await entry.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await page.wait_for_url(f"**{chat.path}")
    await expect(page.locator("#history li")).to_have_count(0)
    assert not await database.call(Conversation.objects.filter(pk=conversation_id).exists)


async def test_older_conversations_are_listed_on_request(chat, learner, sql_course):
    about = {"surface": "assistant", "owner": learner, "course": sql_course}
    rows = [Conversation(title=f"Number {number}", **about) for number in range(35)]
    await database.call(Conversation.objects.bulk_create, rows)
    await chat.page.reload()
    entries = chat.page.locator("#history li")
    await expect(entries).to_have_count(30)
    older = chat.page.get_by_role("button", name="Older ones")
    await older.click()
    await expect(entries).to_have_count(35)
    await expect(older).to_be_hidden()
    titles = await entries.locator("[data-part=open]").all_text_contents()
    assert set(titles) == {f"Number {number}" for number in range(35)}
    await entries.last.get_by_label("Rename, export or delete").click()
    await expect(entries.last.get_by_role("button", name="Delete")).to_be_visible()
