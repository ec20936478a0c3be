"""Error messages shown to the learner, and how to continue after them."""

import re

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.async_api import expect

from jobs.backends import connections
from jobs.models import AiJob
from llm.breaker import Breakers
from tests.browser.pages import QUESTION, Chat, hold, words
from tests.support import database

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]

# Seconds between the requests of a page about a job without progress for five minutes.
SILENCES = """async () => {
  const isWatch = ({ name }) => name.includes("/jobs/watch");
  const { JobWatch } = await import(performance.getEntriesByType("resource").find(isWatch).name);
  const silences = [];
  let now = Date.now();
  Date.now = () => now;
  const watch = new JobWatch("any", { attempt: 0, seq: 0 }, () => {});
  for (let asked = now, end = now + 300_000; now < end; now += 1_000)
    if (watch.isSilent(9_999)) { // it wants more than its patience
      watch.noteRequest();
      silences.push((now - asked) / 1_000);
      asked = now;
    }
  return silences;
}"""
ANOTHER = "How does it differ from NULLIF?"


async def test_stopped_answer_keeps_its_text_and_is_marked(chat, simulator):
    simulator.set(token_interval=0.5)
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
    await expect(chat.answer.element).to_contain_text("You stopped this answer.")
    assert await chat.answer.words() == kept


async def test_wrong_api_key_is_reported_without_the_key_and_staff_can_retry(chat, simulator, open_context, staff):
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
    await chat.shows_all_of(answer)  # on the learner's page, which stayed open


async def test_failed_answer_can_be_retried(chat, simulator):
    simulator.fault("429", retryAfter=0.01)
    await chat.ask()
    await chat.is_accepted()
    await database.call(AiJob.objects.update, max_attempts=1)
    await chat.answer.becomes("failed")
    await expect(chat.answer.element).to_contain_text("The AI service is very busy right now.")
    await chat.page.reload()
    await expect(chat.answer.element).to_contain_text("The AI service is very busy right now.")
    simulator.clear_faults()
    await chat.answer.retry.click()
    await chat.shows_all_of(chat.answer)
    assert await chat.rows.questions() == 1


@pytest.mark.parametrize("has_socket", [True, False])
async def test_question_is_kept_while_the_upstream_is_down(chat, simulator, has_socket):
    if not has_socket:
        await chat.page.route_web_socket("**/ws/jobs/", lambda socket: socket.close())
        await chat.page.reload()
    simulator.set(down=True)
    answer = await chat.ask()
    await expect(answer.thinking).to_contain_text(re.compile(r"Your question is kept\. Trying again (in \d+ s|now)"))
    simulator.set(down=False)
    await chat.shows_all_of(answer)


async def test_polling_backs_off_while_a_job_waits(chat):
    silences = await chat.page.evaluate(SILENCES)
    assert silences[0] == 10 and silences == sorted(silences)
    assert max(silences) <= 60
    assert 5 < len(silences) <= 12


async def test_passages_stay_on_the_page_until_the_answer_comes(chat):
    async with connections.async_redis() as redis:
        breakers = Breakers(redis)
        await breakers.hold(settings.LLM_CHAT_MODEL, "open")
        await chat.ask()
        for _ in range(2):  # live, and after a reload
            passage = chat.answer.body.get_by_role("link", name="COALESCE")
            await expect(chat.answer.thinking).to_contain_text(re.compile(r"Trying again (in \d+ s|now)"))
            await expect(passage.first).to_be_visible()
            await chat.page.reload()
        await breakers.hold(settings.LLM_CHAT_MODEL, None)
    await database.call(AiJob.objects.update, run_after=timezone.now())
    await chat.shows_all_of(chat.answer)
    await expect(chat.answer.body).not_to_contain_text("not answering right now")


async def test_question_refused_during_an_answer_stays_in_the_input(chat, simulator):
    """The other tab has no socket and polls, so it does not know of this tab's question."""
    await (await chat.ask()).becomes("completed")
    other = Chat(await chat.page.context.new_page(), chat.course)
    await other.page.route_web_socket("**/ws/jobs/", lambda socket: socket.close())
    await other.page.goto(chat.page.url)
    await other.answer.becomes("completed")
    simulator.set(first_token=1.5)
    answer = await chat.ask(ANOTHER)
    await expect(answer.thinking).to_contain_text("Writing the answer")
    await other.input.fill("What is a window function?")
    await other.input.press("Enter")
    await expect(other.error).to_contain_text("An answer is still being written here.")
    await expect(other.input).to_have_value("What is a window function?")
    await expect(other.questions).to_have_text([QUESTION, ANOTHER])
    await other.shows_all_of(other.answer)
    await expect(other.error).to_be_hidden()
    assert await chat.rows.questions() == 2


async def test_typed_question_survives_errors_before_it_is_accepted(chat, learner):
    scripts = await hold(chat.page, "/assistant/chat.js")
    await chat.page.reload(wait_until="commit")
    await chat.input.fill(QUESTION)
    await expect(chat.send).to_be_disabled()  # the browser itself would submit the form and clear the input
    scripts.set()
    await expect(chat.send).to_be_enabled()
    await expect(chat.input).to_have_value(QUESTION)
    await chat.page.reload()
    await expect(chat.input).to_have_value(QUESTION)
    await database.call(Session.objects.all().delete)
    await chat.input.press("Enter")
    await expect(chat.error).to_contain_text("You have been signed out. Your question is kept.")
    await expect(chat.input).to_have_value(QUESTION)
    await expect(chat.answers).to_have_count(0)

    await chat.error.get_by_role("link", name="Sign in").click()
    await chat.page.get_by_label("Username").fill(learner.username)
    await chat.page.get_by_label("Password").fill("pass")
    await chat.page.get_by_label("Password").press("Enter")
    await expect(chat.input).to_have_value(QUESTION)
    await chat.input.press("Enter")
    await chat.shows_all_of(chat.answer)
    await chat.page.reload()
    await expect(chat.input).to_have_value("")
