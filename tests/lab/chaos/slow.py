"""Slow readers: sockets and event streams that ask for replays all the time and never read, and what they cost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
from collections import deque
from collections.abc import Callable

import aiohttp
import psutil

from tests.lab.chaos.people import POST_TIMEOUT

PEOPLE = 3  # the first ones, beside the socket that each of them reads
SOCKETS, STREAMS = 6, 2  # of each; with the one that is read fewer than a person may have
REPLAY_SECONDS, STREAM_SECONDS = 0.2, 1.0  # below the limit on frames of one socket
RECEIVE_BYTES = 4096
SEGMENT_BYTES = 536  # the buffer on the other side is a multiple of it
STUCK_SECONDS = 5.0  # the server reads nothing more from a client that does not read either
SAMPLE_SECONDS = 0.5


class SlowReader:
    """One person's sockets and streams. `jobs` returns the ids of this person's jobs."""

    def __init__(self, http: aiohttp.ClientSession, token: str, jobs: Callable[[], list[str]]) -> None:
        self._http = http
        self._headers = {"Authorization": f"Token {token}"}
        self._jobs = jobs

    async def hold_socket(self) -> None:
        """Ask for whole answers over a socket and read none, until cancelled. A new socket follows one that breaks."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with self._http.post("/api/ws-ticket", headers=self._headers, timeout=POST_TIMEOUT) as response:
                    response.raise_for_status()
                    ticket = (await response.json())["ticket"]
                # aiohttp stops to read from the connection when nobody takes what it has read.
                async with self._http.ws_connect(f"/ws/jobs/?ticket={ticket}", autoping=False) as opened:
                    while not opened.closed:
                        for job_id in self._jobs()[-1:]:
                            async with asyncio.timeout(STUCK_SECONDS):
                                await opened.send_json({"type": "resume", "jobId": job_id})
                        await asyncio.sleep(REPLAY_SECONDS)
            await asyncio.sleep(random.uniform(0.5, 1.5))

    async def hold_streams(self) -> None:
        """Open event streams one after the other, close the oldest, and read none, until cancelled."""
        opened = deque[aiohttp.ClientResponse]()
        try:
            while True:
                for job_id in self._jobs()[-1:]:
                    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                        url = f"/api/jobs/{job_id}/events"
                        opened.append(await self._http.get(url, headers=self._headers, timeout=POST_TIMEOUT))
                while len(opened) > STREAMS:
                    opened.popleft().close()
                await asyncio.sleep(STREAM_SECONDS)
        finally:
            for response in opened:
                response.close()


class Memory:
    """How much the web processes, one after the other, have grown beyond what the first one used when it was ready."""

    def __init__(self, pid: Callable[[], int]) -> None:
        self._pid = pid
        self._first = self._most = self._used()

    @property
    def growth(self) -> float:
        """The most so far, in MiB."""
        return self._most - self._first

    async def keep_measuring(self) -> None:
        """Sample it until cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            with contextlib.suppress(psutil.Error):
                self._most = max(self._most, self._used())

    def _used(self) -> float:
        return float(psutil.Process(self._pid()).memory_info().rss) / 2**20


def connector() -> aiohttp.TCPConnector:
    """Connections whose kernel takes little, so that what is not read waits in the web process."""

    def narrow(address: aiohttp.AddrInfoType) -> socket.socket:
        opened = socket.socket(*address[:3])
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        return opened

    return aiohttp.TCPConnector(limit=0, socket_factory=narrow)


def readers(
    http: aiohttp.ClientSession, tokens: list[str], accepted: dict[int, str]
) -> tuple[list[SlowReader], Callable[[int], bool]]:
    """The slow readers among these people, and whether a question with this number is one of theirs."""
    count = min(PEOPLE, len(tokens))

    def of(person: int) -> Callable[[], list[str]]:
        return lambda: [job_id for number, job_id in accepted.items() if number % len(tokens) == person]

    slow = [SlowReader(http, token, of(n)) for n, token in enumerate(itertools.islice(tokens, count))]
    return slow, lambda number: number % len(tokens) < count
