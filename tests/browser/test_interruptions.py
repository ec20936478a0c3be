"""No answer is lost when the page is left, the connection breaks, or a server or worker dies."""

import asyncio
import json

import pytest
from playwright.async_api import Route, WebSocketRoute, expect

from tests.browser.pages import QUESTION, words

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]

RECONNECT_MS = 500  # socket.js, after the first loss
SLOW = 0.025  # seconds between two tokens: an answer takes two to three seconds


async def test_reload_and_second_tab_mid_answer_show_the_whole_answer(chat, simulator):
    simulator.set(token_interval=2 * SLOW)  # two pages have to load meanwhile
    await (await chat.ask()).is_under_way()
    second, _ = await asyncio.gather(chat.second_tab(), chat.page.reload())
    for tab in (chat, second):
        await expect(tab.questions).to_have_text(QUESTION)
        await tab.answer.is_under_way()
        await expect(tab.stop).to_be_visible()
    assert (await chat.rows.job()).status == "running"
    await chat.shows_all_of(chat.answer)
    await second.shows_all_of(second.answer)
    assert await second.answer.body.inner_html() == await chat.answer.body.inner_html()


async def test_question_asked_in_one_tab_is_answered_in_both(chat, simulator):
    await (await chat.ask()).becomes("completed")
    second = await chat.second_tab()
    await second.answer.becomes("completed")
    simulator.set(first_token=0.5)
    await chat.ask("How does it differ from NULLIF?")
    await expect(second.questions).to_have_text([QUESTION, "How does it differ from NULLIF?"])
    await chat.shows_all_of(chat.answer)
    await second.shows_all_of(second.answer)


async def test_socket_closed_mid_answer_is_reopened(chat, simulator):
    sockets: list[WebSocketRoute] = []

    def connect(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    simulator.set(token_interval=SLOW)
    await chat.page.route_web_socket("**/ws/jobs/", connect)
    await chat.page.reload()
    answer = await chat.ask()
    await answer.is_under_way()
    await sockets[0].close()
    await chat.shows_all_of(answer)
    assert len(sockets) == 2


async def test_page_whose_socket_was_replaced_connects_again_only_when_it_is_used(chat):
    """Otherwise eleven tabs, of which ten may have a socket, would close each other's for ever."""
    sockets: list[WebSocketRoute] = []

    def connect(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.connect_to_server()

    await chat.page.route_web_socket("**/ws/jobs/", connect)
    async with chat.page.expect_websocket():
        await chat.page.reload()
    await sockets[0].close(code=4008)
    await chat.page.wait_for_timeout(3 * RECONNECT_MS)
    assert len(sockets) == 1
    await chat.shows_all_of(await chat.ask())
    assert len(sockets) == 2


async def test_lost_final_event_is_requested_after_a_silence(chat):
    lost = []

    def connect(socket):
        server = socket.connect_to_server()

        def pass_on(frame):
            if not lost and '"job.completed"' in frame and '"assistant.answer"' in frame:
                lost.append(frame)
            else:
                socket.send(frame)

        server.on_message(pass_on)

    await chat.page.route("**/api/jobs/*", lambda route: route.abort())  # not by polling
    await chat.page.route_web_socket("**/ws/jobs/", connect)
    await chat.page.reload()
    await chat.shows_all_of(await chat.ask())
    assert len(lost) == 1


async def test_refused_resume_falls_back_to_the_job_row(chat):
    def connect(socket):
        def refuse(frame):
            asked = json.loads(frame)
            error = {"type": "error", "error": {"code": "not_found", "message": ""}, "jobId": asked.get("jobId")}
            socket.send(json.dumps(error if asked["type"] == "resume" else {"type": "pong"}))

        socket.on_message(refuse)

    await chat.page.route_web_socket("**/ws/jobs/", connect)
    await chat.page.reload()
    await chat.shows_all_of(await chat.ask())


async def test_web_server_killed_mid_answer_and_restarted_after_the_end(chat, simulator, platform):
    await chat.page.route("**/api/jobs/*", lambda route: route.abort())  # no polling: it must arrive over the socket
    simulator.set(token_interval=SLOW / 2)
    answer = await chat.ask()
    await answer.is_under_way()
    platform.kill_web()
    await chat.rows.ended()
    await answer.becomes("streaming")
    await asyncio.gather(
        expect(chat.connection).to_have_text("Connection lost. Reconnecting; nothing is lost."),
        asyncio.to_thread(platform.start_web),
    )
    await chat.shows_all_of(answer)
    await expect(chat.connection).to_be_hidden()


async def test_lost_202_response_does_not_ask_twice(chat):
    lost: list[Route] = []

    async def lose_the_first(route: Route) -> None:
        if lost:
            return await route.continue_()
        lost.append(route)
        await route.fetch()
        await route.abort()

    await chat.page.route("**/api/assistant/query", lose_the_first)
    await chat.shows_all_of(await chat.ask())
    assert lost
    assert await chat.rows.questions() == 1


async def test_partial_answer_of_a_killed_worker_is_replaced(chat, simulator, worker):
    simulator.set(token_interval=SLOW)
    answer = await chat.ask()
    await answer.is_under_way()
    seen = await answer.watch()
    worker.kill()
    simulator.set(token_interval=0.005)
    await asyncio.to_thread(worker.start)
    await chat.shows_all_of(answer)
    assert (await chat.rows.job()).attempt == 2
    assert (await seen())["states"] == ["streaming", "thinking", "streaming", "completed"]
    assert words((await seen())["longest"]) == await answer.words()
