"""Messages of WebSocket clients, valid and invalid."""

import json
import uuid

import pytest
import websockets

from accounts.models import issue_ticket
from jobs.api.websocket import FLOOD_MESSAGES
from jobs.models import AiJob
from tests.support import Platform, Socket, ask, assert_no_holes, text_of, wait_for_end

pytestmark = pytest.mark.usefixtures("worker")
PING, PONG = {"type": "ping"}, {"type": "pong"}


@pytest.fixture
def finished(api, sql_course):
    """The 202 body of a completed job without suggestions, so that only frames of this test arrive."""
    job = ask(api, sql_course, "Who won the match?")
    wait_for_end(job)
    return job


async def exchange(socket: Socket, message):
    """The server's reply to this message; asserts that the socket stays open."""
    await socket.send(message)
    answer = await socket.next()
    await socket.send(PING)
    assert await socket.next() == PONG
    return answer


async def closed_with(socket: Socket):
    with pytest.raises(websockets.ConnectionClosed) as closed:
        while True:
            await socket.next()
    return closed.value.rcvd.code


async def test_ping_is_answered(platform: Platform, learner):
    async with platform.socket(learner) as socket:
        assert await exchange(socket, PING) == PONG


BAD_FRAMES = {
    "unknown type": ({"type": "subscribe", "group": "person.user.1"}, "unknown_type"),
    "a type of ours for the inside": ({"type": "job.events", "frames": []}, "unknown_type"),
    "no type": ({}, "unknown_type"),
    "a type that is a list": ({"type": ["ping"]}, "unknown_type"),
    "no JSON": ("ping", "invalid"),
    "half a JSON": ('{"type": "ping"', "invalid"),
    "empty": ("", "invalid"),
    "array": ([PING], "invalid"),
    "string": ('"ping"', "invalid"),
    "null": ("null", "invalid"),
    "deep nesting": ("[" * 60_000, "invalid"),
    "deep nesting in an object": ('{"a":' * 10_000, "invalid"),
    "a long number": ("9" * 6_000, "invalid"),
    "binary": (b'{"type": "ping"}', "invalid"),
    "binary zeros": (b"\0\0\0", "invalid"),
    "empty binary": (b"", "invalid"),
}


@pytest.mark.parametrize(("frame", "code"), BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_malformed_frame_gets_an_error_and_the_socket_stays_open(platform: Platform, learner, frame, code):
    async with platform.socket(learner) as socket:
        answer = await exchange(socket, frame)
    assert (answer["type"], answer["error"]["code"]) == ("error", code)
    assert set(answer["error"]) == {"code", "message"}


@pytest.mark.parametrize("frame", ["x" * 65_537, b"x" * 65_537, "é" * 32_769])
async def test_frame_over_64_kib_closes_the_socket(platform: Platform, learner, frame):
    async with platform.socket(learner) as socket:
        await socket.send(frame)
        assert await closed_with(socket) == 4009


async def test_frame_of_exactly_64_kib_is_accepted(platform: Platform, learner):
    async with platform.socket(learner) as socket:
        padded = json.dumps(PING).ljust(65_536)
        assert await exchange(socket, padded) == PONG


async def test_too_many_frames_close_the_socket(platform: Platform, learner):
    async with platform.socket(learner) as socket:
        for _ in range(FLOOD_MESSAGES + 1):
            await socket.send(PING)
        assert await closed_with(socket) == 4008


async def test_rate_limit_of_one_socket_does_not_close_another(platform: Platform, learner):
    async with platform.socket(learner) as flooded, platform.socket(learner) as other:
        for _ in range(FLOOD_MESSAGES + 1):
            await flooded.send(PING)
        await closed_with(flooded)
        assert await exchange(other, PING) == PONG


BAD_JOB_IDS = ["x", "", "\0", "\ud800", "y" * 10_000, None, 5, [], {}, str(uuid.UUID(int=0))]


@pytest.mark.parametrize("job_id", BAD_JOB_IDS, ids=lambda value: str(value)[:8].encode("ascii", "replace").decode())
async def test_unknown_job_gets_an_error(platform: Platform, learner, job_id):
    async with platform.socket(learner) as socket:
        for kind in ("resume", "cancel"):
            answer = await exchange(socket, {"type": kind, "jobId": job_id})
            assert (answer["type"], answer["error"]["code"]) == ("error", "not_found")
            assert len(answer.get("jobId", "")) <= 64


async def test_message_without_a_job_gets_an_error(platform: Platform, learner):
    async with platform.socket(learner) as socket:
        assert (await exchange(socket, {"type": "resume"}))["error"]["code"] == "not_found"


@pytest.mark.parametrize("kind", ["resume", "cancel"])
async def test_job_of_somebody_else_does_not_exist(
    platform: Platform, learner, stranger, sql_course, slow_answer, kind
):
    with platform.client(learner) as client:
        job = ask(client, sql_course)
    async with platform.socket(stranger) as socket:
        answer = await exchange(socket, {"type": kind, "jobId": job["jobId"]})
    assert answer["error"]["code"] == "not_found"
    assert not AiJob.objects.get(pk=job["jobId"]).cancel_requested


NO_PLACES = [
    *(None, 5, "1-2", [], {}, {"attempt": 1}, {"attempt": "1", "seq": "2"}, {"attempt": 1.0, "seq": 2.0}),
    *({"attempt": -1, "seq": 0}, {"attempt": 1, "seq": 2**63}, {"attempt": True, "seq": False}),
]


@pytest.mark.parametrize("after", NO_PLACES, ids=str)
async def test_malformed_place_gets_an_error(platform: Platform, learner, finished, after):
    async with platform.socket(learner) as socket:
        answer = await exchange(socket, {"type": "resume", "jobId": finished["jobId"], "after": after})
    assert (answer["type"], answer["error"]["code"]) == ("error", "invalid")


async def test_cancel_keeps_the_partial_text(platform: Platform, api, learner, sql_course, slow_answer):
    async with platform.socket(learner) as socket:
        job = ask(api, sql_course)
        events = await socket.until("job.delta")
        await socket.send({"type": "cancel", "jobId": job["jobId"]})
        events += await socket.until()
    assert_no_holes(events)
    assert events[-1]["type"] == "job.cancelled" and events[-1]["answer"] == text_of(events) != ""
    assert api.get(job["links"]["self"]).json()["answer"] == text_of(events)


async def test_ended_job_cannot_be_cancelled(platform: Platform, learner, finished):
    async with platform.socket(learner) as socket:
        answer = await exchange(socket, {"type": "cancel", "jobId": finished["jobId"]})
    assert (answer["error"]["code"], answer["jobId"]) == ("already_ended", finished["jobId"])


async def test_handshake_on_another_path_is_refused(platform: Platform, learner):
    url = f"ws://localhost:{platform.port}/ws/other/?ticket={issue_ticket(learner)}"
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(url):
            pass
    assert refused.value.response.status_code == 403
