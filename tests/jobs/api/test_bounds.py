"""What one client, one person and one network can take of a web process is bounded."""

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest
import websockets
from django.core.signing import Signer
from django.db import connection as database_connection
from django.db import transaction

from accounts.people import VISITOR_COOKIE
from devstack.servers import processes
from jobs.backends import connections
from jobs.events import publish
from jobs.events.schema import Delta, Place, frame
from jobs.lifecycle import transitions
from tests.support import ROOT, Platform, database, error_of, token_of, unique, viewers_of, wait_for

PING = {"type": "ping"}
PONG = {"type": "pong"}
SENT_BYTES = 24 * 1024 * 1024  # of one replay: more than the operating system holds for a connection


def visitor_cookie():
    return f"visitor={Signer(salt=VISITOR_COOKIE).sign(unique('v').replace('-', ''))}"


async def as_visitor(platform: Platform):
    return await platform.handshake(Cookie=visitor_cookie(), Origin=platform.url)


async def count_of(platform: Platform, transport: str, expected: int, timeout: float = 40):
    await asyncio.to_thread(
        wait_for, lambda: viewers_of(platform, transport) == expected, timeout, f"for {expected} {transport}s"
    )


@pytest.fixture
async def long_job(engine, resources):
    """A running job with megabytes of events in Redis."""
    job = transitions.claim(engine.submit().pk, "w")
    text = "x" * 64 * 1024
    frames = [frame(job, Place(1, seq), Delta(text=text)) for seq in range(1, SENT_BYTES // len(text) + 1)]
    await publish.append(resources.redis, [publish.Batch(job, frames)])
    yield job
    publish.forget([job])


def rss(platform: Platform):
    return psutil.Process(platform.web_pid).memory_info().rss


def vanish(connection):
    """Break the connection without a word, as a client does that loses its network and then restarts."""
    raw = connection.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()


async def test_sockets_that_never_read_are_disconnected_and_cost_little(platform: Platform, learner, long_job):
    """Each asks for the replay again and again: the flood limit counts messages, not what they make the server send."""
    await count_of(platform, "socket", 0)
    async with contextlib.AsyncExitStack() as stack:
        sockets = []
        for _ in range(8):
            opened = platform.socket(learner, max_queue=1)
            sockets.append(await stack.enter_async_context(opened))
        before = rss(platform)
        for each in sockets:
            for _ in range(20):
                await each.send({"type": "resume", "jobId": str(long_job.pk)})
        await count_of(platform, "socket", 0)
        assert rss(platform) - before < 8 * 20 * SENT_BYTES / 8


async def test_event_streams_that_are_never_read_are_disconnected(platform: Platform, learner, long_job):
    """Whether what they do not read waits in the process, or fits into the buffers of the operating system."""
    await count_of(platform, "stream", 0)
    token = await database.call(token_of, learner)
    head = f"GET /api/jobs/{long_job.pk}/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\n"
    writers = []
    for after in (0, SENT_BYTES // (64 * 1024) - 24):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", platform.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
        writer.write(f"{head}Last-Event-ID: 1-{after}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writers.append(writer)
    await count_of(platform, "stream", 2)
    await count_of(platform, "stream", 0, timeout=60)
    for writer in writers:
        writer.transport.abort()


async def test_slow_reader_gets_everything(platform: Platform, learner, long_job):
    async with platform.socket(learner, max_queue=1) as slow:
        await slow.send({"type": "resume", "jobId": str(long_job.pk)})
        for seq in range(1, SENT_BYTES // (64 * 1024) + 1):
            assert (await slow.next())["seq"] == seq
            await asyncio.sleep(0)
        await slow.send(PING)
        assert await slow.next() == PONG


async def test_pings_of_a_client_that_never_reads_are_not_read_for_ever(platform: Platform):
    connection = await as_visitor(platform)
    raw = connection.transport.get_extra_info("socket").dup()
    connection.transport.pause_reading()
    ping, sent = (b"\x89\xfd" + b"\0\0\0\0" + b"p" * 125) * 1000, 0
    with contextlib.suppress(TimeoutError, OSError):
        while sent < 100_000_000:
            sent += await asyncio.wait_for(asyncio.to_thread(send_some, raw, ping), 30)
    assert sent < 50_000_000
    raw.close()
    vanish(connection)


def send_some(raw, data):
    raw.settimeout(5)
    raw.sendall(data)
    return len(data)


async def test_client_that_sends_while_nothing_can_be_answered_is_disconnected(platform: Platform, learner, engine):
    job = await database.call(engine.submit)
    locked, done = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def lock():
        with transaction.atomic(), database_connection.cursor() as cursor:
            cursor.execute("LOCK TABLE jobs_aijob IN ACCESS EXCLUSIVE MODE")
            loop.call_soon_threadsafe(locked.set)
            asyncio.run_coroutine_threadsafe(done.wait(), loop).result(60)

    async with platform.socket(learner) as client:
        locking = asyncio.create_task(database.call(lock))
        await locked.wait()
        try:
            with pytest.raises(websockets.ConnectionClosed):
                await client.send({"type": "resume", "jobId": str(job.pk)})
                for _ in range(59):  # more would be a flood
                    await client.send("x" * 60_000)
                await client.next(10)
        finally:
            done.set()
            await locking


async def test_newest_ten_sockets_of_a_person_stay(platform: Platform, learner, stranger):
    async with contextlib.AsyncExitStack() as stack:
        other = await stack.enter_async_context(platform.socket(stranger))
        sockets = [await stack.enter_async_context(platform.socket(learner)) for _ in range(12)]
        for oldest in sockets[:2]:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await oldest.next()
            assert closed.value.rcvd.code == 4008
        for each in (*sockets[2:], other):
            await each.send(PING)
            assert await each.next() == PONG


async def test_oldest_socket_is_closed_even_if_it_does_not_read(platform: Platform, learner, long_job):
    await count_of(platform, "socket", 0)
    async with contextlib.AsyncExitStack() as stack:
        stuck = await stack.enter_async_context(platform.socket(learner, max_queue=1))
        await stuck.send({"type": "resume", "jobId": str(long_job.pk)})
        for _ in range(10):
            await stack.enter_async_context(platform.socket(learner))
        await count_of(platform, "socket", 10, timeout=10)


async def test_one_event_stream_too_many_is_refused(platform: Platform, learner, engine):
    job, token = await database.call(engine.submit), await database.call(token_of, learner)
    url, headers = f"/api/jobs/{job.pk}/events", {"Authorization": f"Token {token}"}
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=platform.url, headers=headers))
        for _ in range(10):
            response = await stack.enter_async_context(client.stream("GET", url))
            assert response.status_code == 200
        await count_of(platform, "stream", 10)
        refused = await client.get(url)
        assert error_of(refused, 429)["code"] == "too_many_streams"
        assert refused.headers["Retry-After"]
    await count_of(platform, "stream", 0)


async def test_visitors_of_one_network_are_counted_together():
    with own_web(SOCKETS_PER_NETWORK="5") as platform:
        opened = [await as_visitor(platform) for _ in range(5)]
        with pytest.raises(websockets.InvalidStatus) as refused:
            await as_visitor(platform)
        assert refused.value.response.status_code == 403
        await opened.pop().close()
        await count_of(platform, "socket", 4)
        opened.append(await as_visitor(platform))
        for each in opened:
            await each.close()


async def test_others_get_in_when_descriptors_are_few(learner):
    """250 sockets of visitors in a process that may open 256 descriptors."""
    with own_web(descriptors=256) as platform:
        results = await asyncio.gather(*(as_visitor(platform) for _ in range(250)), return_exceptions=True)
        refused = [each.response.status_code for each in results if isinstance(each, websockets.InvalidStatus)]
        opened = [each for each in results if isinstance(each, websockets.ClientConnection)]
        assert (len(opened), set(refused)) == (128, {503})
        async with httpx2.AsyncClient(base_url=platform.url) as client:
            assert (await client.get("/readyz")).json()["checks"]["database"]
            assert (await client.get("/")).status_code == 200
        await opened[0].close()
        await count_of(platform, "socket", 127)
        async with platform.socket(learner) as person:
            await person.send(PING)
            assert await person.next() == PONG
        for each in opened[1:]:
            vanish(each)


async def test_viewers_that_vanish_leave_no_subscription(platform: Platform, learner, engine):
    """However they go: the process is subscribed to what it was subscribed to before."""
    redis, job, token = connections.redis(), await database.call(engine.submit), await database.call(token_of, learner)
    await count_of(platform, "socket", 0)
    await count_of(platform, "stream", 0)

    def subscriptions():
        return set(redis.pubsub_channels("*asgi*"))

    await asyncio.to_thread(wait_for, lambda: not subscriptions())
    request = f"GET /api/jobs/{job.pk}/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {token}\r\n\r\n"
    for _ in range(2):
        sockets = await asyncio.gather(*(as_visitor(platform) for _ in range(150)))
        streams = [await asyncio.open_connection("127.0.0.1", platform.port) for _ in range(8)]
        for _, writer in streams:
            writer.write(request.encode())
        await count_of(platform, "stream", 8)
        assert len(subscriptions()) == 151
        for number, each in enumerate(sockets):
            group = f"person.visitor.{number}"
            redis.publish(f"asgi__group__{group}", b"while they go")
            vanish(each)
        for _, writer in streams:
            writer.transport.abort()
        await count_of(platform, "socket", 0)
        await count_of(platform, "stream", 0)
        await asyncio.to_thread(wait_for, lambda: not subscriptions())


@contextlib.contextmanager
def own_web(descriptors: int = 0, **env: str):
    """A Daphne process with other settings or fewer descriptors."""
    platform = Platform(None)
    limit = f"ulimit -n {descriptors};" if descriptors else ""
    command = f"{limit} exec {sys.executable} {ROOT}/manage.py daphne --port {platform.port}"
    with (Path(os.environ["DEV_DATA"]) / "logs" / "daphne.log").open("ab") as log:
        process = subprocess.Popen(["sh", "-c", command], cwd=ROOT, env=os.environ | env, stdout=log, stderr=log)
        try:
            wait_for(lambda: answers(platform), timeout=60, what="for Daphne")
            yield platform
        finally:
            processes.end(process)


def answers(platform):
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"{platform.url}/healthz").status_code == 200
