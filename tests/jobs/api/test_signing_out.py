"""A socket is closed when its session or its account ends."""

import json

import pytest
import websockets
from channels.testing import WebsocketCommunicator
from django.test import Client as DjangoClient

from accounts.models import issue_ticket
from jobs.api import websocket
from jobs.events import publish
from jobs.events.schema import Place, Progress, frame
from tests.support import Platform, Socket, database

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


def end_sessions(user):
    user.set_password("another")
    user.save()


async def connected(learner, resources, by):
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
    query = ""
    if by == "ticket":
        query = f"?ticket={await database.call(issue_ticket, learner)}"
    else:
        signed_in = DjangoClient()
        await database.call(signed_in.force_login, learner)
        headers.append((b"cookie", f"sessionid={signed_in.cookies['sessionid'].value}".encode()))
    socket = WebsocketCommunicator(websocket.JobsConsumer.as_asgi(resources=resources), f"/ws/jobs/{query}", headers)
    assert (await socket.connect())[0]
    return socket


@pytest.mark.parametrize(("by", "change"), [("ticket", switch_off), ("session", switch_off), ("session", end_sessions)])
async def test_socket_is_authorised_again_after_the_recheck_interval(learner, resources, monkeypatch, by, change):
    monkeypatch.setattr(websocket, "REAUTHENTICATE_SECONDS", 0)
    socket = await connected(learner, resources, by)
    await socket.send_to(text_data=json.dumps(PING))
    assert json.loads(await socket.receive_from()) == {"type": "pong"}
    await database.call(change, learner)
    await socket.send_to(text_data=json.dumps(PING))
    assert (await socket.receive_output()) == {"type": "websocket.close", "code": websocket.SIGNED_OUT}
    await socket.disconnect()


async def test_socket_is_not_authorised_at_every_message(learner, resources):
    socket = await connected(learner, resources, "ticket")
    await database.call(switch_off, learner)
    await socket.send_to(text_data=json.dumps(PING))
    assert json.loads(await socket.receive_from()) == {"type": "pong"}
    await socket.disconnect()


async def test_no_event_is_sent_after_the_session_ended(learner, engine, resources, monkeypatch):
    monkeypatch.setattr(websocket, "REAUTHENTICATE_SECONDS", 0)
    socket = await connected(learner, resources, "session")
    await database.call(end_sessions, learner)
    job = await database.call(engine.submit)
    for seq in (1, 2):
        await publish.push([publish.Batch(job, [frame(job, Place(1, seq), Progress(step="searching"))])])
    assert (await socket.receive_output())["type"] == "websocket.close"
    assert await socket.receive_nothing(timeout=0.3)
    await socket.disconnect()
