"""The WebSocket delivers every event of a person's jobs, once and in order, whenever the socket was opened."""

import asyncio

import pytest

from jobs.models import AiJob
from tests.support import Platform, Socket, ask, assert_no_holes, text_of, wait_for, wait_for_end

pytestmark = pytest.mark.usefixtures("worker")
PING, PONG = {"type": "ping"}, {"type": "pong"}


@pytest.fixture
def finished(api, learner, sql_course):
    """The 202 body of a completed job of a learner without active jobs."""
    job = ask(api, sql_course)
    wait_for_end(job)
    wait_for(lambda: not AiJob.objects.filter(owner=learner, status__in=AiJob.ACTIVE).exists())  # suggestions, too
    return job


def resume(job, attempt=0, seq=0):
    return {"type": "resume", "jobId": job["jobId"], "after": {"attempt": attempt, "seq": seq}}


async def test_events_reach_every_socket_of_their_person_and_no_other(
    platform: Platform, api, learner, stranger, staff, sql_course
):
    async with platform.socket(learner) as one, platform.socket(learner) as two:
        async with platform.socket(stranger) as foreign, platform.socket(staff) as watching:
            ask(api, sql_course)
            first, second = await asyncio.gather(one.until(), two.until())
            for socket in (foreign, watching):
                await socket.send(PING)
                assert await socket.next() == PONG  # and no earlier event
    assert first == second
    assert_no_holes(first)


async def test_staff_may_follow_the_job_of_anybody(platform: Platform, staff, finished):
    async with platform.socket(staff) as socket:
        await socket.send(resume(finished))
        assert (await socket.until())[-1]["type"] == "job.completed"


async def test_socket_opened_mid_answer_gets_all_events(platform: Platform, api, learner, sql_course, slow_answer):
    async with platform.socket(learner) as early:
        ask(api, sql_course)
        seen = await early.until("job.delta")
        async with platform.socket(learner) as late:
            everything, rest = await asyncio.gather(late.until(), early.until())
    assert_no_holes(everything)
    assert everything == seen + rest
    assert text_of(everything) == everything[-1]["answer"]


async def test_resume_mid_answer_continues_with_live_events(platform: Platform, api, learner, sql_course, slow_answer):
    async with platform.socket(learner) as socket:
        job = ask(api, sql_course)
        seen = await socket.until("job.delta")
        await socket.send(resume(job))
        events = await socket.until()
    replay = next(index for index, event in enumerate(events) if event["seq"] == 1)  # live events may arrive first
    assert_no_holes(seen + events[:replay])
    assert_no_holes(events[replay:])
    assert text_of(events[replay:]) == events[-1]["answer"]


async def test_resume_from_a_place_gives_exactly_the_later_events(platform: Platform, learner, finished):
    async with platform.socket(learner) as socket:
        await socket.send(resume(finished))
        everything = await socket.until()
        for event in everything[:-1]:
            await socket.send(resume(finished, event["attempt"], event["seq"]))
            assert await socket.until() == everything[event["seq"] :]


async def test_resume_at_the_end_gives_nothing(platform: Platform, learner, finished):
    async with platform.socket(learner) as socket:
        await socket.send(resume(finished))
        end = (await socket.until())[-1]
        await socket.send(resume(finished, end["attempt"], end["seq"]))
        await socket.send(PING)
        assert await socket.next() == PONG


async def test_connection_lost_mid_answer_loses_no_events(platform: Platform, api, learner, sql_course, slow_answer):
    async with platform.socket(learner) as socket:
        job = ask(api, sql_course)
        seen = await socket.until("job.delta")
    async with platform.socket(learner) as socket:
        await socket.send(resume(job, seen[-1]["attempt"], seen[-1]["seq"]))
        rest = await socket.until()
    assert_no_holes(seen + rest)
    assert text_of(seen + rest) == rest[-1]["answer"]


async def test_events_of_concurrent_answers_do_not_mix(platform: Platform, api, learner, sql_course):
    async with platform.socket(learner) as socket:
        jobs = [ask(api, sql_course, question)["jobId"] for question in ("What is NULL?", "What is a LEFT JOIN?")]
        events = await socket.until()
        events += await socket.until()
    for job_id in jobs:
        own = [event for event in events if event["jobId"] == job_id]
        assert_no_holes(own)
        assert text_of(own) == own[-1]["answer"]


async def test_page_with_a_session_cookie_gets_its_events(platform: Platform, learner, sql_course):
    with platform.browser_session(learner) as browser:
        cookie = f"sessionid={browser.cookies['sessionid']}"
        async with platform.handshake(Cookie=cookie, Origin=platform.url) as connection:
            ask(browser, sql_course)
            assert (await Socket(connection).until())[-1]["type"] == "job.completed"
