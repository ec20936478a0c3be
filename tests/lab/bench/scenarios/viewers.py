"""Viewers of one web process: the memory of an idle socket, and the delay of events beside many of them."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import AsyncExitStack

import aiohttp
import psutil

from devstack.servers import processes
from tests.lab.bench import rows
from tests.lab.bench.load import Unexpected, crowd
from tests.lab.bench.measuring import Bench
from tests.lab.report import Result, Row
from tests.lab.stats import percentile
from tests.lab.upstream import LONG

IDLE = 2000
PEOPLE = 20  # who own the idle sockets
STREAMING = 200
AT_ONCE = 20  # sockets opened concurrently
SECONDS = 10.0


async def viewers(bench: Bench) -> Result:
    """2,000 idle sockets and 200 people who watch an answer, on a Daphne process that serves nobody else."""
    await bench.control.begin(LONG)
    url, web = await asyncio.to_thread(bench.rig.start_web, "viewers")
    cookies = await asyncio.to_thread(rows.session_cookies, PEOPLE)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as http, AsyncExitStack() as sockets:
        await _open(http, sockets, cookies, 2 * PEOPLE)  # so that code loaded on first use is not counted
        before = _memory_kb(web.pid)
        opened = time.monotonic()
        await _open(http, sockets, cookies, IDLE)
        took = time.monotonic() - opened
        await asyncio.sleep(1)
        each = (_memory_kb(web.pid) - before) / IDLE
        lags, answers = await _stream(http, bench)
    await asyncio.to_thread(processes.end, web.process)
    return Result(
        "viewers",
        [
            Row(f"memory of Daphne for each of {IDLE} idle sockets", each, "KiB"),
            Row(f"event to viewer, {STREAMING} answers streaming beside them, p50", percentile(lags, 50) * 1000, "ms"),
            Row("the same, p99", percentile(lags, 99) * 1000, "ms"),
        ],
        [
            f"{IDLE} sockets of {PEOPLE} people opened in {took:.0f} s",
            f"{len(lags)} events of {answers} answers of {LONG.total:.0f} s each",
        ],
    )


async def _open(http: aiohttp.ClientSession, sockets: AsyncExitStack, cookies: list[str], count: int) -> None:
    permits, who = asyncio.Semaphore(AT_ONCE), itertools.cycle(cookies)

    async def one(cookie: str) -> None:
        async with permits:
            headers = {"Cookie": f"sessionid={cookie}", "Origin": str(http._base_url).rstrip("/")}
            socket = await http.ws_connect("/ws/jobs/", headers=headers)
        reader = asyncio.create_task(_keep(socket))
        sockets.callback(reader.cancel)
        sockets.push_async_callback(socket.close)

    await asyncio.gather(*(one(next(who)) for _ in range(count)))


async def _keep(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read the socket so that the server's pings are answered; nothing else may arrive."""
    async for message in socket:
        raise Unexpected(f"an idle socket received {message.data}")


async def _stream(http: aiohttp.ClientSession, bench: Bench) -> tuple[list[float], int]:
    async with crowd(http, bench.rig.tokens[:STREAMING]) as streaming:
        asking = asyncio.create_task(streaming.keep_asking(STREAMING, LONG.total, time.time() + LONG.total + SECONDS))
        await asyncio.sleep(LONG.total)
        for person in streaming.people:
            person.lags.clear()  # of the time before full load
        answers = await asking
        return [lag for person in streaming.people for lag in person.lags], len(answers)


def _memory_kb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 1024)
