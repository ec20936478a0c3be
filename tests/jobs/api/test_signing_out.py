"""A socket is closed when its session or its account ends."""

import asyncio

import httpx2
import pytest
import websockets
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client as DjangoClient

from accounts import sockets
from accounts.models import issue_ticket
from accounts.people import Person
from accounts.sockets import Pass
from jobs.api import viewers as viewers_module
from jobs.api import websocket
from jobs.events import publish
from jobs.events.schema import Place, Progress, frame
from tests.jobs.conftest import Engine
from tests.support import Platform, Socket, database, token_of, unique, viewers_of, wait_for

PING = {"type": "ping"}


def cookies(client):
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


async def is_open(socket: Socket):
    await socket.send(PING)
    return await socket.next() == {"type": "pong"}


@pytest.mark.parametrize("path", ["/accounts/logout/", "/admin/logout/"])
async def test_signing_out_closes_only_sockets_of_that_session(platform: Platform, staff, path):
    here, elsewhere = [await database.call(platform.browser_session, staff) for _ in range(2)]
    async with (
        platform.handshake(Origin=platform.url, **cookies(here)) as first,
        platform.handshake(Origin=platform.url, **cookies(here)) as second,
        platform.handshake(Origin=platform.url, **cookies(elsewhere)) as other,
        platform.socket(staff) as by_ticket,
    ):
        assert await is_open(Socket(first))
        assert (await database.call(here.post, path)).status_code in (200, 302)
        for socket in (first, second):
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await Socket(socket).next()
            assert closed.value.rcvd.code == websocket.SIGNED_OUT
        assert await is_open(Socket(other)) and await is_open(by_ticket)
    with pytest.raises(websockets.InvalidStatus):  # and the session cannot open another
        async with platform.handshake(Origin=platform.url, **cookies(here)):
            pass


def switch_off(user):
    user.is_active = False
    user.save()


def end_session(user):
    Session.objects.all().delete()


def end_sessions(user):
    user.set_password("another")
    user.save()


def delete(user):
    user.delete()


def demote(user):
    user.is_staff = False
    user.save()


async def connected(user, viewers, by):
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
    query = ""
    if by == "ticket":
        query = f"?ticket={await database.call(issue_ticket, user)}"
    else:
        signed_in = DjangoClient()
        await database.call(signed_in.force_login, user)
        headers.append((b"cookie", f"sessionid={signed_in.cookies['sessionid'].value}".encode()))
    socket = WebsocketCommunicator(websocket.JobsConsumer.as_asgi(viewers=viewers), f"/ws/jobs/{query}", headers)
    assert (await socket.connect())[0]
    return socket


CHANGES = [
    *(("ticket", change) for change in (switch_off, end_sessions, delete, demote)),
    *(("session", change) for change in (switch_off, end_sessions, delete, demote, end_session)),
]


@pytest.mark.parametrize(("by", "change"), CHANGES)
async def test_socket_is_closed_when_what_opened_it_is_no_longer_valid(staff, viewers, by, change):
    socket, other = await connected(staff, viewers, by), await connected(staff, viewers, by)
    await viewers.check()
    assert await socket.receive_nothing(timeout=0.1)
    await database.call(change, staff)
    await viewers.check()
    for each in (socket, other):
        assert await each.receive_output() == {"type": "websocket.close", "code": websocket.SIGNED_OUT}
        await each.disconnect()


async def test_who_may_stay_is_checked_without_any_message(learner, viewers, monkeypatch):
    monkeypatch.setattr(viewers_module, "CHECK_SECONDS", 0.05)
    socket = await connected(learner, viewers, "ticket")
    await database.call(switch_off, learner)
    assert (await socket.receive_output())["code"] == websocket.SIGNED_OUT
    await socket.disconnect()


def test_everybody_is_checked_within_half_a_minute():
    assert viewers_module.CHECK_SECONDS < 25


async def test_all_sockets_are_checked_with_three_queries(viewers, django_assert_num_queries):
    users = [User.objects.create(username=unique("test-many")) for _ in range(30)]
    passes = {Pass(Person(user_id=user.pk), user.get_session_auth_hash(), f"key-{user.pk}") for user in users}
    visitors = {Pass(Person(visitor=f"v{number}")) for number in range(30)}
    with django_assert_num_queries(3):
        assert sockets.still_valid(passes | visitors) == visitors


async def test_check_that_fails_is_repeated(learner, viewers, resources, monkeypatch):
    monkeypatch.setattr(viewers_module, "CHECK_SECONDS", 0.05)
    failed, call = [], resources.db.call

    async def fail_once(*args):
        if not failed:
            failed.append(True)
            raise OperationalError
        return await call(*args)

    socket = await connected(learner, viewers, "ticket")
    await database.call(switch_off, learner)
    monkeypatch.setattr(resources.db, "call", fail_once)
    assert (await socket.receive_output())["code"] == websocket.SIGNED_OUT
    assert failed
    await socket.disconnect()


async def test_no_event_is_sent_after_the_socket_is_closed(learner, engine, viewers):
    socket = await connected(learner, viewers, "session")
    await database.call(end_sessions, learner)
    await viewers.check()
    job = await database.call(engine.submit)
    for seq in (1, 2):
        await publish.push([publish.Batch(job, [frame(job, Place(1, seq), Progress(step="searching"))])])
    assert (await socket.receive_output())["type"] == "websocket.close"
    assert await socket.receive_nothing(timeout=0.3)
    await socket.disconnect()


async def read_stream(platform, url, **credentials):
    """The lines of an event stream up to its end, which comes without a final event."""
    async with httpx2.AsyncClient(base_url=platform.url, timeout=60) as client:
        async with client.stream("GET", url, **credentials) as response:
            assert response.status_code == 200, await response.aread()
            return [line async for line in response.aiter_lines()]


async def close_code(connection):
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await connection.recv()
    return closed.value.rcvd.code


async def test_idle_sockets_and_streams_of_a_person_end_within_30_seconds(platform: Platform, learner, stranger, staff):
    """In Daphne, while nobody sends anything."""
    people = {learner: switch_off, stranger: end_sessions, staff: delete}
    ready, changed = asyncio.Barrier(len(people) + 1), asyncio.Event()

    async def follow(user):
        job, token = await database.call(Engine(user).submit), await database.call(token_of, user)
        session = await database.call(platform.browser_session, user)
        async with (
            platform.socket(user) as ticket,
            platform.handshake(Origin=platform.url, **cookies(session)) as other,
        ):
            by = [{"Authorization": f"Token {token}"}, cookies(session)]
            url = f"/api/jobs/{job.pk}/events"
            streams = [asyncio.create_task(read_stream(platform, url, headers=headers)) for headers in by]
            await ready.wait()
            await changed.wait()
            codes = [await close_code(ticket.connection), await close_code(other)]
            return codes, [line for stream in streams for line in await stream if line.startswith("data:")]

    following = [asyncio.create_task(follow(user)) for user in people]
    await ready.wait()
    await asyncio.to_thread(wait_for, lambda: viewers_of(platform, "stream") == 2 * len(people))
    for user, change in people.items():
        await database.call(change, user)
    changed.set()
    async with asyncio.timeout(30):
        assert await asyncio.gather(*following) == [([websocket.SIGNED_OUT] * 2, [])] * len(people)


async def test_stream_of_a_session_ends_when_it_signs_out(platform: Platform, learner, engine):
    job = await database.call(engine.submit)
    here = await database.call(platform.browser_session, learner)
    stream = asyncio.create_task(read_stream(platform, f"/api/jobs/{job.pk}/events", headers=cookies(here)))
    await asyncio.to_thread(wait_for, lambda: viewers_of(platform, "stream") == 1)
    assert (await database.call(here.post, "/accounts/logout/")).status_code in (200, 302)
    assert not [line for line in await asyncio.wait_for(stream, 5) if line.startswith("data:")]
