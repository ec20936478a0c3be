"""A job's events as server-sent events."""

import asyncio
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.people import Person
from accounts.sockets import Pass
from jobs.api import sse
from jobs.backends import connections
from jobs.events import outcome, publish
from jobs.events.schema import START, Place, Started, frame
from jobs.lifecycle import transitions
from jobs.models import AiJob
from tests.support import FINAL, Platform, ask, assert_no_holes, database, error_of, eventually, text_of, wait_for_end

pytestmark = pytest.mark.usefixtures("worker")
STREAM = {"Accept": "text/event-stream"}


def read(client, url, after=None, most=None):
    """The (id, event) pairs of a stream: all, or the first `most`."""
    headers = STREAM | ({"Last-Event-ID": after} if after else {})
    found, place = [], None
    with client.stream("GET", url, headers=headers) as response:
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
        for line in response.iter_lines():
            assert not line.startswith(":"), "the end ends the stream, not the silence after it"
            if line.startswith("id: "):
                place = line[4:]
            elif line.startswith("data: "):
                found.append((place, json.loads(line[6:])))
                if len(found) == most:
                    break
    return found


def bodies(found):
    return [event for _, event in found]


def finished(api, job):
    wait_for_end(job)
    return job["links"]["events"]


def test_stream_has_all_events_of_a_job(api, sql_course):
    job = ask(api, sql_course)
    found = read(api, job["links"]["events"])
    assert_no_holes(bodies(found))
    assert [place for place, _ in found] == [f"{e['attempt']}-{e['seq']}" for e in bodies(found)]
    assert found[0][1]["type"] == "job.started" and found[-1][1]["type"] == "job.completed"
    assert text_of(bodies(found)) == found[-1][1]["answer"]
    assert {event["jobId"] for event in bodies(found)} == {job["jobId"]}


def test_stream_of_an_ended_job_repeats_its_events_and_ends(api, sql_course):
    url = finished(api, ask(api, sql_course))
    first, second = read(api, url), read(api, url)
    assert first == second
    assert first[-1][1]["type"] in FINAL


def test_returning_reader_gets_exactly_the_later_events(api, sql_course):
    url = finished(api, ask(api, sql_course))
    everything = read(api, url)
    for count in (1, len(everything) // 2, len(everything) - 1):
        assert read(api, url, after=everything[count - 1][0]) == everything[count:]


def test_reader_that_has_seen_the_end_gets_no_events(api, sql_course):
    url = finished(api, ask(api, sql_course))
    assert read(api, url, after=read(api, url)[-1][0]) == []


def test_connection_lost_mid_answer_loses_no_events(api, sql_course, slow_answer):
    job = ask(api, sql_course)
    seen = read(api, job["links"]["events"], most=5)
    assert api.get(job["links"]["self"]).json()["status"] == "running"
    rest = read(api, job["links"]["events"], after=seen[-1][0])
    assert_no_holes(bodies(seen + rest))
    assert text_of(bodies(seen + rest)) == rest[-1][1]["answer"]


def test_cancelled_job_ends_its_stream(api, sql_course, slow_answer):
    job = ask(api, sql_course)
    read(api, job["links"]["events"], most=5)
    assert api.post(job["links"]["cancel"]).status_code == 202
    found = read(api, job["links"]["events"])
    assert found[-1][1]["type"] == "job.cancelled"
    assert found[-1][1]["answer"] == text_of(bodies(found)) != ""


def test_failed_job_ends_its_stream_with_the_reason(api, sql_course, simulator):
    simulator.fault("quota")
    last = read(api, ask(api, sql_course)["links"]["events"])[-1][1]
    assert (last["type"], last["error"]["code"], last["retryable"]) == ("job.failed", "upstream_quota", False)


@pytest.mark.parametrize("after", [None, "1-2", "7-7"])
def test_stream_of_a_job_with_expired_events_has_its_end(api, sql_course, after):
    job = ask(api, sql_course)
    url = finished(api, job)
    publish.forget([AiJob.objects.get(pk=job["jobId"])])
    [(_, end)] = read(api, url, after=after)
    row = api.get(job["links"]["self"]).json()
    assert (end["type"], end["answer"], end["citations"]) == ("job.completed", row["answer"], row["citations"])


@pytest.fixture
def quiet(monkeypatch, learner):
    """A running job without events, with a short SILENCE_SECONDS for streams of this process."""
    monkeypatch.setattr(sse, "SILENCE_SECONDS", 0.2)
    at_work = {"status": "running", "attempt": 1, "lease_until": timezone.now() + timedelta(minutes=1)}
    return AiJob.objects.create(kind="assistant.answer", owner=learner, **at_work)


def stream_of(job, viewers):
    """The stream of this job's person."""
    job = AiJob.objects.get(pk=job.pk)
    return sse.stream(job, START, viewers, Pass(job.person), "a network")


async def next_of(stream, count):
    async with asyncio.timeout(5):
        return [await anext(stream) for _ in range(count)]


async def rest_of(stream):
    """The events up to the end of the stream."""
    async with asyncio.timeout(5):
        pieces = [piece async for piece in stream]
    return [json.loads(piece.partition("data: ")[2]) for piece in pieces if piece != sse.KEEP_ALIVE]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_lost_final_event_is_recovered_after_a_silence(quiet, resources, viewers, is_kept):
    """The event is lost on its way to the reader only, or missing in Redis too."""
    stream = stream_of(quiet, viewers)
    assert await next_of(stream, 2) == [sse.RETRY, sse.KEEP_ALIVE]
    result = {"answer": "done", "citations": []}
    ended = await database.call(transitions.complete, quiet, result, lambda job, result: None)
    if is_kept:
        final = await database.call(outcome.final_event, ended)
        await publish.append(
            resources.redis,
            [publish.Batch(ended, [frame(ended, Place(1, 1), Started()), frame(ended, Place(1, 2), final)])],
        )
    found = await rest_of(stream)
    assert [event["type"] for event in found] == ["job.started"] * is_kept + ["job.completed"]
    assert found[-1]["answer"] == "done"
    assert_no_holes(found)


async def test_stream_of_a_silent_job_stays_open_and_delivers_later_events(quiet, viewers, monkeypatch):
    stream = stream_of(quiet, viewers)
    assert await next_of(stream, 3) == [sse.RETRY, sse.KEEP_ALIVE, sse.KEEP_ALIVE]
    monkeypatch.setattr(sse, "SILENCE_SECONDS", 60)
    await publish.push([publish.Batch(quiet, [frame(quiet, Place(1, 1), Started())])])
    [piece] = await next_of(stream, 1)
    assert '"job.started"' in piece
    await stream.aclose()


async def test_signing_out_of_another_session_keeps_the_stream_open(quiet, viewers, monkeypatch):
    monkeypatch.setattr(sse, "SILENCE_SECONDS", 60)
    stream = stream_of(quiet, viewers)
    await next_of(stream, 1)
    heard = asyncio.create_task(anext(stream))
    reader = Person(user_id=quiet.owner_id)
    await eventually(lambda: connections.redis().pubsub_numsub(f"asgi__group__{reader.group}")[0][1])
    await database.call(publish.tell_signed_out, reader, "another session")
    await publish.push([publish.Batch(quiet, [frame(quiet, Place(1, 1), Started())])])
    assert '"job.started"' in await asyncio.wait_for(heard, 5)
    await stream.aclose()


@pytest.mark.parametrize(
    "place", ["x", "1", "1-", "-1", "1-2-3", "1-x", "-1-1", "1.5-2", f"1-{2**63}", "9" * 5000, "\xb2-1"]
)
def test_malformed_last_event_id_is_400(api, sql_course, place):
    url = ask(api, sql_course)["links"]["events"]
    error_of(api.get(url, headers=STREAM | {"Last-Event-ID": place.encode("latin1")}), 400)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/event-stream, */*"])
def test_other_accept_headers_get_the_stream_too(api, sql_course, accept):
    url = finished(api, ask(api, sql_course))
    response = api.get(url, headers={"Accept": accept})
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store" and response.headers["X-Accel-Buffering"] == "no"


def test_errors_are_json_for_event_stream_requests_too(platform: Platform, api, sql_course, stranger):
    url = ask(api, sql_course)["links"]["events"]
    with platform.client(stranger) as client:
        error_of(client.get(url, headers=STREAM), 404)
    with platform.client() as client:
        error_of(client.get(url, headers=STREAM), 401)
