"""What Redis holds or pushes may be of another type, half there or of another release: it counts as absent."""

import asyncio
import json

import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import User

from accounts import people
from jobs.backends import connections
from jobs.backends.faults import Faults
from jobs.events import feed as feed_module
from jobs.events import publish
from jobs.events.batcher import Batcher, Sender
from jobs.events.feed import Feed, Inbox, Overflow
from jobs.events.outcome import final_event
from jobs.events.schema import START, Delta, Frame, Place, Started, frame
from jobs.events.viewer import Viewer
from jobs.lifecycle import transitions
from tests.support import events_of


@pytest.fixture
def job(engine):
    return transitions.claim(engine.submit().pk, "w")


def key_of(job):
    return f"aijob:{job.pk}:events"


def another_type(redis, job):
    redis.set(key_of(job), "x")


def a_list(redis, job):
    redis.rpush(key_of(job), "x")


def no_frame(redis, job):
    redis.xadd(key_of(job), {"event": "x"}, id="1-1")


def no_json(redis, job):
    redis.xadd(key_of(job), {"frame": '{"type": "job.del'}, id="1-1")


def no_text(redis, job):
    redis.xadd(key_of(job), {"frame": b"\xff\xfe"}, id="1-1")


def another_shape(redis, job):
    redis.xadd(key_of(job), {"frame": json.dumps(["job.delta", "x"])}, id="1-1")


def without_type(redis, job):
    redis.xadd(key_of(job), {"frame": json.dumps({"jobId": str(job.pk), "attempt": 1, "seq": 1})}, id="1-1")


def of_another_job(redis, job):
    text = frame(job, Place(1, 1), Started()).text.replace(str(job.pk), "another")
    redis.xadd(key_of(job), {"frame": text}, id="1-1")


def numbered_by_time(redis, job):
    redis.xadd(key_of(job), {"frame": frame(job, Place(1, 1), Started()).text})


def only_a_high_number(redis, job):
    redis.xadd(key_of(job), {"frame": "x"}, id="1700000000000-0")
    redis.xtrim(key_of(job), maxlen=0, approximate=False)


DAMAGE = [
    *(another_type, a_list, no_frame, no_json, no_text, another_shape, without_type, of_another_job),
    *(numbered_by_time, only_a_high_number),
]


@pytest.mark.parametrize("damage", DAMAGE)
async def test_run_rewrites_a_stream_that_cannot_be_read(job, resources, damage):
    damage(connections.redis(), job)
    assert await publish.read_after(resources.redis, job.pk, START) == []
    assert await publish.last_place(resources.redis, job.pk) == START
    sender = Sender(resources.redis, Faults())
    events = Batcher(job, sender)
    events.add(Started())
    events.add(Delta(text="one "))
    await events.close()
    await sender.close()
    assert [event["seq"] for event in events_of(job.pk)] == [1, 2]
    assert 0 < connections.redis().ttl(key_of(job)) <= 3600


@pytest.mark.parametrize("damage", DAMAGE)
def test_event_outside_a_run_rewrites_a_stream_that_cannot_be_read(job, damage):
    ended = transitions.fail(job, transitions.POISONOUS)
    damage(connections.redis(), job)
    publish.publish_outside_run(ended, final_event(ended))
    assert [event["type"] for event in events_of(job.pk)] == ["job.failed"]


@pytest.mark.parametrize("damage", DAMAGE)
async def test_viewer_is_told_the_end_whatever_the_stream_holds(job, resources, damage):
    ended = transitions.fail(job, transitions.POISONOUS)
    damage(connections.redis(), job)
    [end] = await Viewer(resources).resume(ended, START)
    assert end.is_final


PACKED = [
    *(None, 5, "x", [], ["x"], {}, [1, 2, 3, 4], ["id", [1], True, "{}"], ["id", ["1", "1"], True, "{}"]),
    *(["id", [1, 1], True, 5], ["id", [1, 1], True, "x"], ["id", [1, 1], True, "[]"], ["id", [1, 1], True, "[" * 9999]),
    ["id", [1, 1], True, '{"jobId": "id", "attempt": 1, "seq": 1, "type": "job.delta"}'],
    ["id", [1, 1], True, '{"jobId": "id", "attempt": 1, "seq": 1, "type": "job.delta", "at":"yesterday"}'],
    ["id", [1, 1], True, '{"jobId": "id", "attempt": 1, "seq": 1, "type": "job.delta", "at":"2026-01-01T00:00:00"}'],
    ["id", [1, 1], True, '{"jobId": "id", "attempt": 2, "seq": 1, "type": "job.delta", "at":"2026-01-01T00:00:00Z"}'],
]


@pytest.mark.parametrize("packed", PACKED, ids=str)
def test_pushed_frame_of_another_release_is_no_frame(packed):
    with pytest.raises(ValueError):
        Frame.unpack(packed)


def test_pushed_frame_is_read(job):
    item = frame(job, Place(1, 2), Delta(text="x"))
    assert Frame.unpack([*item]) == Frame.unpack([item.job_id, [1, 2], False, item.text]) == item


FOREIGN = [b"", b"x", b"\xc1", b"\xff" * 100, b"\x93\x01\x02\x03", b"\x81\xa4type\x05", b"\x80"]


@pytest.mark.parametrize("data", FOREIGN)
async def test_message_that_cannot_be_read_does_not_stop_the_next(learner: User, job, data):
    feed, inbox, person = Feed(), Inbox(), people.from_user(learner)
    async with feed.following(person, inbox):
        layer = get_channel_layer()
        connections.redis().publish(layer.channel_of(person.group), data)
        for frames in (5, [[1, 2]], [[*frame(job, Place(1, 1), Started())]]):
            await layer.group_send(person.group, {"type": "job.events", "frames": frames})
        found = [feed_module.frames_of(await asyncio.wait_for(inbox.get(), 5)) for _ in range(3)]
    assert [[item.place for item in each] for each in found] == [[], [], [Place(1, 1)]]
    await feed.close()


async def test_what_waits_for_a_viewer_is_bounded():
    inbox, message = Inbox(), get_channel_layer().serialize({"type": "job.events", "frames": []})
    for _ in range(2 * feed_module.MOST_BYTES // len(message)):
        inbox.put(message)
    with pytest.raises(Overflow):
        await inbox.get()
    assert inbox.waiting_bytes <= feed_module.MOST_BYTES
    while inbox.waiting_bytes:
        await inbox.get()
    inbox.put(message)
    assert (await inbox.get())["type"] == "job.events"
