"""A new learner answers the questionnaire, sees the persona, corrects it and deletes the profile."""

import pytest
from playwright.async_api import expect

from devstack.demo import personas
from jobs.models import AiJob
from personas.models import Profile
from tests.browser.pages import hold
from tests.support import database

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]

PATH = "/profile/learning/"
GOAL = "I want to build <b>small</b> projects with my own data."


@pytest.fixture(autouse=True)
def demo(_database):
    personas.load()
    yield
    Profile.objects.all().delete()


async def test_learner_finds_corrects_and_deletes_the_profile(context, learner, simulator):
    page = await context.new_page()
    await page.goto("/")
    await page.get_by_role("link", name="Profile").click()
    card, status, send = (page.get_by_test_id(name) for name in ("persona", "profile-status", "send-answers"))
    await expect(card).to_be_hidden()

    await send.click()
    await expect(page.get_by_test_id("profile-problem")).to_contain_text("missing")
    await expect(page.get_by_label("What do you want to reach")).to_be_focused()

    simulator.set(first_token=0.5)
    await page.get_by_label("What do you want to reach").fill(GOAL)
    await page.get_by_label("I try it out at once").check()
    await page.get_by_label("One to three hours").check()
    await page.get_by_label("What do you know").fill("Nothing, I learn by practice.")
    await send.click()
    await expect(status).to_contain_text("Reading your answers")
    await page.reload()  # the job continues, and the page finds it again
    await expect(status).to_contain_text("Reading your answers")
    await expect(card.get_by_role("heading", name="Hands-on maker")).to_be_focused()
    await expect(card.locator("q").first).to_have_text("I want to build <b>small</b> projects with my own data")
    await expect(card.get_by_text("Worked out by AI")).to_be_visible()
    await expect(page.get_by_label("What do you want to reach")).to_have_value(GOAL)

    await card.get_by_label("Something else fits better?").select_option("Deep thinker")
    await card.get_by_role("button", name="Correct it").click()
    await expect(card).to_contain_text("You said so yourself")
    await expect(card.get_by_text("Worked out by AI")).to_be_hidden()
    await page.reload()
    await expect(card.get_by_role("heading", name="Deep thinker")).to_be_visible()

    await card.get_by_text("Delete what is known about me").click()
    await page.get_by_test_id("delete-profile").click()
    await expect(status).to_contain_text("Deleted")
    await expect(card).to_be_hidden()
    await expect(page.get_by_label("What do you want to reach")).to_have_value("")
    assert not await database.call(Profile.objects.filter(user=learner).exists)


async def test_second_tab_shows_the_classification_started_in_the_first(context, learner, simulator):
    simulator.set(first_token=0.8)
    first, second = await context.new_page(), await context.new_page()
    for page in (first, second):
        await page.goto(PATH)
        await expect(page.get_by_test_id("send-answers")).to_be_visible()
    sent = await hold(second, "/api/personas/profile")
    for page in (second, first):
        await page.bring_to_front()  # the browser throttles timers of background tabs
        await page.get_by_label("What do you want to reach").fill(GOAL)
        await page.get_by_label("I try it out at once").check()
        await page.get_by_label("One to three hours").check()
        await page.get_by_label("What do you know").fill("Nothing, I learn by practice.")
        await page.get_by_test_id("send-answers").click()
    await expect(first.get_by_test_id("profile-status")).to_contain_text("Reading your answers")
    sent.set()  # 409: follows the other tab's job
    for page in (first, second):
        await expect(page.get_by_test_id("persona")).to_contain_text("Hands-on maker")
    assert await database.call(AiJob.objects.count) == 1
