"""Events on their way out: in order, batched, filled in again when Redis has lost them, and fenced by attempt."""

import asyncio
import itertools
import json
from datetime import datetime

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jobs.events import publish
from jobs.events.batcher import DELTAS_PER_SECOND, LONGEST_BEAT, Outbox
from jobs.events.schema import START, Completed, Place, Progress, Started, Usage, frame

DONE = Completed(answer="x", citations=[], usage=Usage(inputTokens=1, outputTokens=1))


def redis_that_is_away():
    return Redis(port=1, retry=Retry(NoBackoff(), 0))


@pytest.fixture
def job(engine):
    job = engine.submit()
    job.attempt = 1
    return job


async def kept(job):
    return [json.loads(frame.text) for frame in await publish.read_after(job.pk, START)]


async def test_events_are_kept_in_order_without_holes(job):
    outbox = Outbox(job)
    outbox.add(Started())
    outbox.add_text("Hello")
    outbox.add_text(" world")
    outbox.add(DONE)
    await outbox.close()
    told = await kept(job)
    assert [(e["attempt"], e["seq"]) for e in told] == [(1, n) for n in range(1, len(told) + 1)]
    assert [e["type"] for e in told] == ["job.started", "job.delta", "job.delta", "job.completed"]
    assert "".join(e.get("text", "") for e in told) == "Hello world"


async def test_first_piece_goes_out_at_once_and_later_ones_together(job):
    outbox = Outbox(job)
    for piece in ["a", *"bcdefgh"]:
        outbox.add_text(piece)
    await outbox.close()
    assert [e["text"] for e in await kept(job)] == ["a", "bcdefgh"]


async def test_long_text_does_not_wait_for_the_batch_to_end(job):
    outbox = Outbox(job)
    outbox.add_text("first")
    outbox.add_text("x" * 500)
    assert len(outbox._frames) == 2
    await outbox.close()


async def longest_silence_between_pieces(job):
    """Of an answer that comes letter by letter, in seconds."""
    outbox = Outbox(job)
    for letter in "abcdefghijklmnopqrstuvwxyz" * 2:
        outbox.add_text(letter)
        await asyncio.sleep(0.02)
    await outbox.close()
    moments = [datetime.fromisoformat(event["at"]).timestamp() for event in await kept(job)][:-1]
    return max(later - earlier for earlier, later in itertools.pairwise(moments))


async def test_busier_worker_sends_longer_pieces_less_often(job):
    _others = [Outbox(job) for _ in range(DELTAS_PER_SECOND)]
    assert await longest_silence_between_pieces(job) >= LONGEST_BEAT


async def test_runs_that_have_ended_make_nobody_wait(job, monkeypatch):
    monkeypatch.setattr("jobs.events.batcher.CLOSE_SECONDS", 0)
    others = [Outbox(job) for _ in range(DELTAS_PER_SECOND)]
    await asyncio.gather(*(outbox.close() for outbox in others))
    assert await longest_silence_between_pieces(job) < LONGEST_BEAT


async def test_redis_that_came_back_empty_is_filled_again(job):
    outbox = Outbox(job)
    outbox.add(Started())
    outbox.add(Progress(step="searching"))
    while not await kept(job):
        await asyncio.sleep(0.01)
    await publish.redis_client().delete(publish._key(job.pk))
    outbox.add(Progress(step="answering"))
    await outbox.close()
    assert [e["seq"] for e in await kept(job)] == [1, 2, 3]


async def test_repeated_command_does_not_stop_the_events(job):
    outbox = Outbox(job)
    outbox.add(Started())
    while not await kept(job):
        await asyncio.sleep(0.01)
    await publish.append([publish.Batch(job, [publish.frame(job, Place(1, 2), Progress(step="searching"))])])
    outbox.add(Progress(step="searching"))
    outbox.add(Progress(step="answering"))
    await outbox.close()
    assert [e["seq"] for e in await kept(job)] == [1, 2, 3]
    assert not outbox.overtaken


async def test_late_attempt_is_silenced_by_a_newer_one(job):
    late = Outbox(job)
    late.add(Started())
    while not await kept(job):
        await asyncio.sleep(0.01)
    job.attempt = 2
    newer = Outbox(job)
    newer.add(Started())
    await newer.close()
    job.attempt = 1
    late.add_text("too late")
    await late.close()
    assert late.overtaken
    assert [(e["attempt"], e["type"]) for e in await kept(job)] == [(2, "job.started")]


async def test_events_wait_for_a_redis_that_is_away(job, monkeypatch):
    monkeypatch.setitem(publish._clients, asyncio.get_running_loop(), redis_that_is_away())
    monkeypatch.setattr("jobs.events.batcher.PAUSE_SECONDS", 0.05)
    outbox = Outbox(job)
    outbox.add(Started())
    await asyncio.sleep(0.2)
    monkeypatch.delitem(publish._clients, asyncio.get_running_loop())
    outbox.add(DONE)
    await outbox.close()
    assert [e["seq"] for e in await kept(job)] == [1, 2]


async def test_closing_gives_up_when_redis_stays_away(job, monkeypatch):
    monkeypatch.setitem(publish._clients, asyncio.get_running_loop(), redis_that_is_away())
    monkeypatch.setattr("jobs.events.batcher.CLOSE_SECONDS", 0.2)
    outbox = Outbox(job)
    outbox.add(DONE)
    async with asyncio.timeout(1):
        await outbox.close()


async def appended(job):
    await publish.append([publish.Batch(job, [frame(job, Place(1, 2), DONE)])])


async def rewritten(job):
    assert await publish.rewrite(job, [frame(job, Place(1, 1), Started()), frame(job, Place(1, 2), DONE)])


async def told_outside_of_a_run(job):
    await publish.publish_outside_run(job, DONE)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("act", [appended, rewritten, told_outside_of_a_run])
async def test_events_expire_so_long_after_the_last_of_them(job, settings, act, is_first):
    settings.JOBS_EVENTS_TTL = 90
    if not is_first:
        await publish.append([publish.Batch(job, [frame(job, Place(1, 1), Started())])])
        await publish.redis_client().expire(publish._key(job.pk), 5)
    await act(job)
    assert (await kept(job))[-1]["type"] == "job.completed"
    assert 80 < await publish.redis_client().ttl(publish._key(job.pk)) <= 90


async def test_events_of_a_run_expire(job, settings):
    outbox = Outbox(job)
    outbox.add(Started())
    outbox.add(DONE)
    await outbox.close()
    assert 0 < await publish.redis_client().ttl(publish._key(job.pk)) <= settings.JOBS_EVENTS_TTL
