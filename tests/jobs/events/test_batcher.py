"""The batcher: events in order, in batches, rewritten after a flush of Redis, fenced by attempt."""

import asyncio
import itertools
import json
from datetime import datetime

import pytest
from channels.layers import get_channel_layer
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jobs.backends import connections
from jobs.backends.faults import Faults
from jobs.events import publish
from jobs.events.batcher import DELTAS_PER_SECOND, LONGEST_BEAT, Batcher, Sender
from jobs.events.schema import Completed, Frame, Place, Progress, Started, Usage, frame
from tests.support import events_of

DONE = Completed(shown={"answer": "x", "citations": []}, usage=Usage(inputTokens=1, outputTokens=1))


def redis_that_is_away():
    return Redis(port=1, retry=Retry(NoBackoff(), 0))


def stream_of(job):
    return f"aijob:{job.pk}:events"


class AwayAtFirst:
    """A Redis client whose server is unreachable until `is_away` is false."""

    def __init__(self, redis):
        self.is_away, self.refused = True, asyncio.Event()
        self._redis = redis

    def __getattr__(self, name):
        if not self.is_away:
            return getattr(self._redis, name)
        self.refused.set()
        return getattr(redis_that_is_away(), name)


@pytest.fixture
def job(engine):
    job = engine.submit()
    job.attempt = 1
    return job


@pytest.fixture
def sender(resources):
    return Sender(resources.redis, Faults())


async def kept(job):
    return await asyncio.to_thread(events_of, job.pk)


async def test_events_are_stored_in_order_without_gaps(job, sender):
    batcher = Batcher(job, sender)
    batcher.add(Started())
    batcher.add_text("Hello")
    batcher.add_text(" world")
    batcher.add(DONE)
    await batcher.close()
    told = await kept(job)
    assert [(e["attempt"], e["seq"]) for e in told] == [(1, n) for n in range(1, len(told) + 1)]
    assert [e["type"] for e in told] == ["job.started", "job.delta", "job.delta", "job.completed"]
    assert "".join(e.get("text", "") for e in told) == "Hello world"


async def test_first_delta_is_sent_at_once_and_later_ones_in_batches(job, sender):
    batcher = Batcher(job, sender)
    for piece in ["a", *"bcdefgh"]:
        batcher.add_text(piece)
    await batcher.close()
    assert [e["text"] for e in await kept(job)] == ["a", "bcdefgh"]


async def test_long_text_is_sent_before_the_batch_interval_ends(job, sender):
    batcher = Batcher(job, sender)
    batcher.add_text("first")
    batcher.add_text("x" * 500)
    assert len(batcher._frames) == 2
    await batcher.close()


async def longest_silence_between_pieces(job, sender):
    """The longest pause in seconds between deltas of an answer that arrives letter by letter."""
    batcher = Batcher(job, sender)
    for letter in "abcdefghijklmnopqrstuvwxyz" * 2:
        batcher.add_text(letter)
        await asyncio.sleep(0.02)
    await batcher.close()
    moments = [datetime.fromisoformat(event["at"]).timestamp() for event in await kept(job)][:-1]
    return max(later - earlier for earlier, later in itertools.pairwise(moments))


async def test_busier_worker_sends_larger_batches_less_often(job, sender):
    _others = [Batcher(job, sender) for _ in range(DELTAS_PER_SECOND)]
    assert await longest_silence_between_pieces(job, sender) >= LONGEST_BEAT


async def test_ended_runs_do_not_lengthen_the_batch_interval(job, sender, monkeypatch):
    monkeypatch.setattr("jobs.events.batcher.CLOSE_SECONDS", 0)
    others = [Batcher(job, sender) for _ in range(DELTAS_PER_SECOND)]
    await asyncio.gather(*(batcher.close() for batcher in others))
    assert await longest_silence_between_pieces(job, sender) < LONGEST_BEAT


async def test_events_are_written_again_after_redis_was_flushed(job, sender):
    batcher = Batcher(job, sender)
    batcher.add(Started())
    batcher.add(Progress(step="searching"))
    while not await kept(job):
        await asyncio.sleep(0.01)
    connections.redis().delete(stream_of(job))
    batcher.add(Progress(step="answering"))
    await batcher.close()
    assert [e["seq"] for e in await kept(job)] == [1, 2, 3]


async def test_repeated_command_does_not_stop_the_events(job, sender, resources):
    batcher = Batcher(job, sender)
    batcher.add(Started())
    while not await kept(job):
        await asyncio.sleep(0.01)
    await publish.append(resources.redis, [publish.Batch(job, [frame(job, Place(1, 2), Progress(step="searching"))])])
    batcher.add(Progress(step="searching"))
    batcher.add(Progress(step="answering"))
    await batcher.close()
    assert [e["seq"] for e in await kept(job)] == [1, 2, 3]
    assert not batcher.overtaken


async def test_events_of_an_overtaken_attempt_are_dropped(job, sender):
    late = Batcher(job, sender)
    late.add(Started())
    while not await kept(job):
        await asyncio.sleep(0.01)
    job.attempt = 2
    newer = Batcher(job, sender)
    newer.add(Started())
    await newer.close()
    job.attempt = 1
    late.add_text("too late")
    await late.close()
    assert late.overtaken
    assert [(e["attempt"], e["type"]) for e in await kept(job)] == [(2, "job.started")]


async def test_events_wait_while_redis_is_down(job, resources, monkeypatch):
    monkeypatch.setattr("jobs.events.batcher.RECONNECT_SECONDS", 0.05)
    redis = AwayAtFirst(resources.redis)
    batcher = Batcher(job, Sender(redis, Faults()))
    batcher.add(Started())
    await redis.refused.wait()
    redis.is_away = False
    batcher.add(DONE)
    await batcher.close()
    assert [e["seq"] for e in await kept(job)] == [1, 2]


async def test_closing_gives_up_while_redis_stays_down(job, monkeypatch):
    monkeypatch.setattr("jobs.events.batcher.CLOSE_SECONDS", 0.2)
    batcher = Batcher(job, Sender(redis_that_is_away(), Faults()))
    batcher.add(DONE)
    async with asyncio.timeout(1):
        await batcher.close()


async def appended(job, redis):
    await publish.append(redis, [publish.Batch(job, [frame(job, Place(1, 2), DONE)])])


async def rewritten(job, redis):
    assert await publish.rewrite(redis, job, [frame(job, Place(1, 1), Started()), frame(job, Place(1, 2), DONE)])


async def test_event_whose_place_is_taken_still_reaches_open_sockets(job, resources):
    """Two processes publish outside of a run at the same moment, or a newer attempt was faster."""
    await publish.append(resources.redis, [publish.Batch(job, [frame(job, Place(2, 1), Started())])])
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(job.person.group, channel)
    await asyncio.to_thread(publish.publish_outside_run, job, DONE)
    message = await asyncio.wait_for(layer.receive(channel), 5)
    await layer.group_discard(job.person.group, channel)
    assert [json.loads(Frame.unpack(item).text)["type"] for item in message["frames"]] == ["job.completed"]
    assert [event["type"] for event in await kept(job)] == ["job.started"]


async def told_outside_of_a_run(job, redis):
    await asyncio.to_thread(publish.publish_outside_run, job, DONE)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("act", [appended, rewritten, told_outside_of_a_run])
async def test_ttl_of_the_stream_restarts_with_its_last_event(job, resources, settings, act, is_first):
    settings.JOBS_EVENTS_TTL = 90
    if not is_first:
        await publish.append(resources.redis, [publish.Batch(job, [frame(job, Place(1, 1), Started())])])
        connections.redis().expire(stream_of(job), 5)
    await act(job, resources.redis)
    assert (await kept(job))[-1]["type"] == "job.completed"
    assert 80 < connections.redis().ttl(stream_of(job)) <= 90


async def test_events_of_a_run_expire(job, sender, settings):
    batcher = Batcher(job, sender)
    batcher.add(Started())
    batcher.add(DONE)
    await batcher.close()
    assert 0 < connections.redis().ttl(stream_of(job)) <= settings.JOBS_EVENTS_TTL
