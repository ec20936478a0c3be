"""A viewer gets every event once and in order, whatever it missed."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jobs.events import publish
from jobs.events.schema import START, Delta, Place, Started, frame
from jobs.events.viewer import Viewer
from jobs.lifecycle import transitions
from jobs.models import AiJob
from jobs.tasks import run_job


@pytest.fixture
def job(engine):
    job = engine.submit()
    return transitions.claim(job.pk, "w")


def frames(job, *seqs, attempt=1):
    return [frame(job, Place(attempt, seq), Started() if seq == 1 else Delta(text=f"{seq} ")) for seq in seqs]


def places(shown):
    return [tuple(item.place) for item in shown]


async def test_live_events_in_order_are_shown_immediately(job, resources):
    viewer = Viewer(resources)
    assert places(await viewer.live(frames(job, 1, 2))) == [(1, 1), (1, 2)]
    assert places(await viewer.live(frames(job, 3))) == [(1, 3)]


async def test_repeated_event_is_shown_once(job, resources):
    viewer = Viewer(resources)
    await viewer.live(frames(job, 1, 2))
    assert await viewer.live(frames(job, 2, 1)) == []


async def test_missed_events_are_shown_before_the_next_one(job, resources):
    await publish.append(resources.redis, [publish.Batch(job, frames(job, 1, 2, 3, 4))])
    viewer = Viewer(resources)
    await viewer.live(frames(job, 1))
    assert places(await viewer.live(frames(job, 4))) == [(1, 2), (1, 3), (1, 4)]


async def test_viewer_that_joins_late_gets_the_earlier_events(job, resources):
    await publish.append(resources.redis, [publish.Batch(job, frames(job, 1, 2, 3))])
    assert places(await Viewer(resources).live(frames(job, 3))) == [(1, 1), (1, 2), (1, 3)]


async def test_new_attempt_replaces_the_old_one(job, resources):
    viewer = Viewer(resources)
    await viewer.live(frames(job, 1, 2))
    assert places(await viewer.live(frames(job, 1, attempt=2))) == [(2, 1)]
    assert await viewer.live(frames(job, 3)) == []


async def test_events_after_a_gap_in_redis_are_held_until_it_is_filled(job, resources):
    await publish.append(resources.redis, [publish.Batch(job, frames(job, 3, 4))])
    viewer = Viewer(resources)
    assert await viewer.live(frames(job, 4)) == []
    await publish.rewrite(resources.redis, job, frames(job, 1, 2, 3, 4, 5))
    assert places(await viewer.live(frames(job, 5))) == [(1, n) for n in range(1, 6)]


async def test_resume_gives_exactly_the_later_events(job, resources):
    await publish.append(resources.redis, [publish.Batch(job, frames(job, 1, 2, 3, 4))])
    assert places(await Viewer(resources).resume(job, Place(1, 2))) == [(1, 3), (1, 4)]


async def test_resume_of_an_ended_job_without_events_gives_its_end(job, resources):
    ended = transitions.complete(job, {"answer": "the answer", "citations": []}, lambda *_: None)
    [end] = await Viewer(resources).resume(ended, START)
    told = json.loads(end.text)
    assert (told["type"], told["answer"], told["attempt"], told["seq"]) == ("job.completed", "the answer", 1, 1)


async def test_lost_final_event_follows_the_stored_events(job, resources):
    await publish.append(resources.redis, [publish.Batch(job, frames(job, 1, 2))])
    ended = transitions.complete(job, {"answer": "a", "citations": []}, lambda *_: None)
    shown = await Viewer(resources).resume(ended, START)
    assert places(shown) == [(1, 1), (1, 2), (1, 3)]
    assert shown[-1].is_final


async def test_late_events_are_not_shown_after_an_end_taken_from_the_row(job, resources):
    viewer = Viewer(resources)
    await viewer.live(frames(job, 1))
    ended = transitions.complete(job, {"answer": "a", "citations": []}, lambda *_: None)
    assert places(await viewer.resume(ended, Place(1, 1))) == [(1, 2)]
    assert await viewer.live(frames(job, 2, 3)) == []
    assert places(await viewer.live(frames(job, 1, attempt=2))) == [(2, 1)]


async def test_viewer_that_saw_the_end_gets_no_events(engine, resources):
    job = engine.submit()
    await run_job(str(job.pk))
    job.refresh_from_db()
    shown = await Viewer(resources).resume(job, START)
    assert await Viewer(resources).resume(job, shown[-1].place) == []


async def test_end_is_taken_from_the_row_while_redis_is_down(job, resources):
    ended = transitions.fail(job, transitions.POISONOUS)
    await resources.redis.aclose()
    resources.redis = Redis(port=1, retry=Retry(NoBackoff(), 0))
    [end] = await Viewer(resources).resume(AiJob.objects.get(pk=ended.pk), START)
    assert json.loads(end.text)["error"]["code"] == "poisonous"


def test_time_of_an_event_is_not_read_from_its_text(job):
    before = timezone.now() - timedelta(seconds=1)
    assert before < frame(job, Place(1, 2), Delta(text='"at":"1999-01-01T00:00:00.000+00:00"')).at <= timezone.now()
