"""What the learner is told when something goes wrong, and the way on from there."""

import re

import pytest
from django.contrib.sessions.models import Session
from jobs import database
from jobs.models import AiJob
from playwright.async_api import expect

from tests.browser.pages import QUESTION, Chat, words

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]


async def test_stopping_keeps_what_was_written_and_says_so(chat, simulator):
    simulator.set(token_interval=0.1)
    answer = await chat.ask()
    await answer.is_under_way(10)
    await chat.stop.click()
    await answer.becomes("cancelled")
    await expect(answer.element).to_contain_text("You stopped this answer.")
    await expect(chat.input).to_be_focused()
    kept = await answer.words()
    assert kept == words(await chat.rows.answer())
    await chat.page.reload()
    await chat.answer.becomes("cancelled")
    assert await chat.answer.words() == kept
    await expect(chat.answer.element).to_contain_text("You stopped this answer.")


async def test_wrong_key_is_told_without_the_key_and_staff_can_retry(chat, simulator, open_context, staff):
    simulator.fault("401")
    answer = await chat.ask()
    await answer.becomes("failed")
    await expect(answer.element).to_contain_text("The AI service is not set up correctly")
    assert "sk-" not in await chat.page.content()

    simulator.clear_faults()
    admin = await (await open_context(staff)).new_page()
    await admin.goto("/admin/jobs/aijob/?status__exact=failed")
    await admin.get_by_role("checkbox").last.check()
    await admin.get_by_label("Action:").select_option(label="Retry the selected failed or cancelled jobs")
    await admin.get_by_role("button", name="Go").click()
    await expect(admin.get_by_text("1 job(s) queued again.")).to_be_visible()
    await chat.shows_all_of(answer)  # on the learner's page, which was open all the time


async def test_failed_answer_can_be_retried(chat, simulator):
    simulator.fault("503")
    answer = await chat.ask()
    await expect(answer.thinking).to_contain_text("Your question is kept")
    await database.call(AiJob.objects.update, max_attempts=1)
    await answer.becomes("failed")
    await expect(answer.element).to_contain_text("The AI service is not answering.")
    await chat.page.reload()
    await chat.answer.becomes("failed")
    simulator.clear_faults()
    await chat.answer.retry.click()
    await chat.shows_all_of(chat.answer)


async def test_question_is_kept_while_the_upstream_is_down(chat, simulator):
    simulator.set(down=True)
    answer = await chat.ask()
    await expect(answer.thinking).to_contain_text(re.compile(r"Your question is kept\. Trying again (in \d+ s|now)"))
    simulator.set(down=False)
    await answer.becomes("completed")
    await expect(chat.questions).to_have_text(QUESTION)


async def test_second_question_during_an_answer_is_refused_and_given_back(chat, simulator):
    """The second tab has not heard of the first one's question: its line is down."""
    await (await chat.ask()).becomes("completed")
    second = Chat(await chat.page.context.new_page(), chat.course)
    await second.page.route_web_socket("**/ws/jobs/", lambda socket: socket.close())
    await second.page.goto(chat.page.url)
    await second.answer.becomes("completed")
    simulator.set(first_token=1.5)
    await chat.ask("How does it differ from NULLIF?")
    await expect(chat.answer.thinking).to_be_visible()
    await second.input.fill("What is a window function?")
    await second.input.press("Enter")
    await expect(second.error).to_contain_text("An answer is still being written here.")
    await expect(second.input).to_have_value("What is a window function?")
    await expect(second.questions).to_have_text([QUESTION, "How does it differ from NULLIF?"])
    await second.answer.becomes("completed")
    await expect(second.error).to_be_hidden()
    assert await chat.rows.questions() == 2


async def test_typed_question_survives_a_reload_and_being_signed_out(chat):
    await chat.input.fill(QUESTION)
    await chat.page.reload()
    await expect(chat.input).to_have_value(QUESTION)
    await database.call(Session.objects.all().delete)
    await chat.input.press("Enter")
    await expect(chat.error).to_contain_text("You have been signed out. Your question is kept.")
    await expect(chat.input).to_have_value(QUESTION)
    await expect(chat.answers).to_have_count(0)


async def test_signing_in_again_finds_the_question_where_it_was(chat, learner):
    await chat.input.fill(QUESTION)
    await database.call(Session.objects.all().delete)
    await chat.input.press("Enter")
    await chat.error.get_by_role("link", name="Sign in").click()
    await chat.page.get_by_label("Username").fill(learner.username)
    await chat.page.get_by_label("Password").fill("pass")
    await chat.page.get_by_label("Password").press("Enter")
    await expect(chat.input).to_have_value(QUESTION)
    await chat.input.press("Enter")
    await chat.answer.becomes("completed")
    await chat.page.reload()
    await expect(chat.input).to_have_value("")
