"""Fixtures for tests in the system's Chromium, driven through Playwright's async API.

One browser serves all tests; each test has its own browser context. The async API runs in one event loop for the
whole session: the sync API would keep a loop running in this thread and break every asyncio.run() of other tests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from courses.models import Course
from tests.browser.pages import Chat, Witness
from tests.support import Platform, database

HERE = Path(__file__).parent
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
REQUIRED = os.environ.get("REQUIRE_BROWSER") == "1"
LEFT_OUT = "no Chromium found; install the package chromium, or put chromium or google-chrome on PATH"

OpenContext = Callable[..., Awaitable[BrowserContext]]

TIMEOUT = 15_000  # ms
expect.set_options(timeout=TIMEOUT)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip these tests without a browser, or fail each of them if they are required."""
    if CHROMIUM or REQUIRED:
        return
    left_out = [item for item in items if HERE in item.path.parents]
    for item in left_out:
        item.add_marker(pytest.mark.skip(reason=LEFT_OUT))
    config.stash[_left_out] = len(left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Report skipped browser tests at the end of the run."""
    if config.stash.get(_left_out, 0):
        terminalreporter.write_line(f"BROWSER TESTS LEFT OUT: {LEFT_OUT}", red=True, bold=True)


_left_out = pytest.StashKey[int]()


class Worker:
    """An rqworker process that a test may kill."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._running = contextlib.ExitStack()
        self.start()

    def start(self) -> None:
        self._process = self._running.enter_context(self._platform.worker())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self._running.close()


@pytest.fixture(scope="package")
def worker(platform: Platform) -> Iterator[Worker]:
    """One worker for all browser tests, because starting it takes longer than most of them."""
    with contextlib.closing(Worker(platform)) as worker:
        yield worker


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The running Chromium."""
    if CHROMIUM is None:
        pytest.fail(f"REQUIRE_BROWSER=1 and {LEFT_OUT}", pytrace=False)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def witness(platform: Platform) -> AsyncIterator[Witness]:
    """Records exceptions, dialogs, CSP violations and requests to other origins on all pages."""
    witness = Witness(platform.url)
    yield witness
    assert witness.seen == []


@pytest_asyncio.fixture(loop_scope="session")
async def open_context(chromium: Browser, platform: Platform, witness: Witness) -> AsyncIterator[OpenContext]:
    """Opens a browser context for a signed-in person, or for an anonymous one."""
    opened: list[BrowserContext] = []

    async def open_context(user: User | None = None, **options) -> BrowserContext:
        context = await chromium.new_context(base_url=platform.url, **options)
        opened.append(context)
        context.set_default_timeout(TIMEOUT)
        witness.watch(context)
        if user:
            session = await database.call(_session_of, platform, user)
            await context.add_cookies([{"name": "sessionid", "value": session, "url": platform.url}])
        return context

    yield open_context
    for context in opened:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(open_context: OpenContext, learner: User) -> BrowserContext:
    """A browser context signed in as the learner."""
    return await open_context(learner)


@pytest_asyncio.fixture(loop_scope="session")
async def chat(context: BrowserContext, sql_course: Course) -> Chat:
    """The assistant's page of the SQL course, opened by the learner."""
    chat = Chat(await context.new_page(), sql_course)
    await chat.open()
    return chat


def _session_of(platform: Platform, user: User) -> str:
    with platform.browser_session(user) as client:
        return client.cookies["sessionid"]
