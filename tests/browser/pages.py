"""Page objects, the stored rows behind them, and a recorder of forbidden browser events."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Dialog, Page, Route, TimeoutError, WebError, expect

from conversations.models import Message
from courses.models import Course
from jobs.models import AiJob
from tests.support import database

QUESTION = "What does COALESCE return?"
FOLLOW_UP = "Can you show me an example of it?"
LESSON = "NULL and three-valued logic"


class Chat:
    """The assistant's page."""

    def __init__(self, page: Page, course: Course) -> None:
        self.page = page
        self.course = course
        self.input = page.get_by_test_id("question-input")
        self.send = page.get_by_test_id("send-button")
        self.stop = page.get_by_test_id("stop-button")
        self.error = page.get_by_test_id("composer-error")
        self.connection = page.get_by_test_id("connection-status")
        self.questions = page.get_by_test_id("message-user").locator("[data-part=text]")
        self.answers = page.get_by_test_id("message-assistant")

    @property
    def path(self) -> str:
        return f"/courses/{self.course.slug}/assistant/"

    @property
    def conversation_id(self) -> str:
        """The id of the conversation in the page's URL, "" before the first question was accepted."""
        return parse_qs(urlsplit(self.page.url).query).get("conversation", [""])[0]

    @property
    def rows(self) -> Rows:
        """The stored rows of this conversation."""
        return Rows(self.conversation_id)

    @property
    def answer(self) -> Answer:
        """The newest answer."""
        return Answer(self.page, -1)

    async def open(self) -> None:
        """Open a new conversation."""
        await self.page.goto(self.path)

    async def ask(self, question: str = QUESTION) -> Answer:
        """Type a question and send it; returns as soon as the page shows it."""
        await expect(self.send).to_be_enabled()  # the scripts have loaded
        count = await self.answers.count()
        await self.input.fill(question)
        await self.input.press("Enter")
        await expect(self.answers).to_have_count(count + 1)
        return Answer(self.page, count)

    async def is_accepted(self) -> None:
        """Wait until the first question is accepted, which adds the conversation to the URL."""
        await self.page.wait_for_url("**?conversation=*")

    async def second_tab(self) -> Chat:
        """Open another tab of the same browser with the same conversation."""
        await self.is_accepted()
        other = Chat(await self.page.context.new_page(), self.course)
        await other.page.goto(self.page.url)
        return other

    async def shows_all_of(self, answer: Answer) -> None:
        """Wait for the end, then compare the page with the stored answer: no word is missing or repeated."""
        await answer.becomes("completed")
        assert await answer.words() == words(await self.rows.answer())


class Answer:
    """An answer on the page; index -1 is the newest."""

    def __init__(self, page: Page, index: int) -> None:
        self._page = page
        self._index = index
        self.element = page.get_by_test_id("message-assistant").nth(index)
        self.body = self.element.locator("[data-part=body]")
        self.thinking = self.element.get_by_test_id("thinking")
        self.citations = self.element.get_by_test_id("citation")
        self.sources = self.element.get_by_test_id("sources")
        self.retry = self.element.get_by_test_id("retry-button")

    async def becomes(self, state: str, characters: int = 0) -> None:
        """Wait for a state (thinking, streaming, completed, failed, cancelled) and at least this many characters."""
        try:
            # Checked at every frame; an expect() would check once a second.
            await self._page.wait_for_function(_IS, arg=[self._index, state, characters])
        except TimeoutError:
            raise AssertionError(f"not {state}: {await self.element.evaluate('node => node.outerHTML')}") from None

    async def is_under_way(self, characters: int = 30) -> None:
        """Wait until this many characters are shown while the answer is still being streamed."""
        await self.becomes("streaming", characters)

    async def words(self) -> str:
        """The text shown, letters and digits only."""
        return words(await self.body.inner_text())

    async def watch(self) -> Callable[[], Awaitable[dict]]:
        """Observe the answer; the result has the states it went through and the longest text it had."""
        handle = await self.element.evaluate_handle(_WATCH)
        return lambda: handle.evaluate("seen => seen")


_IS = """([index, state, characters]) => {
    const answer = [...document.querySelectorAll("[data-testid=message-assistant]")].at(index);
    return answer?.dataset.state === state
        && answer.querySelector("[data-part=body]").textContent.length >= characters;
}"""
_WATCH = """element => {
    const body = element.querySelector("[data-part=body]");
    const seen = { states: [element.dataset.state], longest: body.textContent };
    const look = () => {
        if (seen.states.at(-1) !== element.dataset.state) seen.states.push(element.dataset.state);
        if (body.textContent.length > seen.longest.length) seen.longest = body.textContent;
    };
    new MutationObserver(look).observe(element, { attributes: true, childList: true, subtree: true });
    return seen;
}"""


def words(text: str) -> str:
    """The letters and digits of a text, which rendered text and its Markdown have in common."""
    return re.sub(r"\W+", "", text)


class Rows:
    """The rows of a conversation, read on database threads, which return their connections."""

    def __init__(self, conversation_id: str) -> None:
        self._jobs = AiJob.objects.filter(subject=f"conversation:{conversation_id}", kind="assistant.answer")
        self._messages = Message.objects.filter(conversation=conversation_id)
        self._asked = Message.objects.filter(role="user", conversation__owner__conversations=conversation_id)

    async def job(self) -> AiJob:
        """The newest job."""
        return await database.call(self._jobs.latest, "created_at")

    async def ended(self) -> None:
        """Wait until the newest job has ended."""
        async with asyncio.timeout(15):
            while not (await self.job()).is_final:
                await asyncio.sleep(0.05)

    async def questions(self) -> int:
        """The number of questions of their owner in all conversations."""
        return await database.call(self._asked.count)

    async def answer(self) -> str:
        """The newest answer."""
        return (await database.call(self._messages.filter(role="assistant").latest, "pk")).text


async def hold(page: Page, path: str) -> asyncio.Event:
    """Delay requests to this path until the event is set."""
    let_go = asyncio.Event()

    async def wait(route: Route) -> None:
        await let_go.wait()
        await route.continue_()

    await page.route(f"**{path}", wait)
    return let_go


class Witness:
    """Forbidden events on a page: exceptions, dialogs, CSP violations, requests to other origins."""

    def __init__(self, origin: str) -> None:
        self.seen: list[str] = []
        self._ours = urlsplit(origin).netloc

    def watch(self, context: BrowserContext) -> None:
        """Record the events of all pages of this context from now on."""
        context.on("request", lambda request: self._look_at(request.url))
        context.on("page", lambda page: page.on("websocket", lambda socket: self._look_at(socket.url)))
        context.on("console", self._hear)
        context.on("weberror", self._caught)
        context.on("dialog", self._dismiss)

    def _look_at(self, url: str) -> None:
        if urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).netloc != self._ours:
            self.seen.append(f"request to {url}")

    def _hear(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.seen.append(message.text)

    def _caught(self, error: WebError) -> None:
        self.seen.append(f"uncaught {error.error}")

    async def _dismiss(self, dialog: Dialog) -> None:
        self.seen.append(f"{dialog.type} {dialog.message}")
        await dialog.dismiss()
