"""The simulator's control API, and a gateway to the upstream without the engine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from typing import Any

import aiohttp
from redis.asyncio import Redis

from llm.breaker import Breakers
from llm.client import Llm, Traffic
from llm.config import LlmConfig
from llm.governor import Caller, Governor, Limits
from llm.sdk import connect
from tests.lab.people import number_in

DELTAS = 150
JOURNAL = 2000  # the number of requests that the simulator remembers


@dataclass(frozen=True)
class Latencies:
    """What an answer takes upstream, in seconds: its embedding, its first token, its stream after that.

    A follow-up is rewritten while it is embedded.
    """

    embedding: float
    first_token: float
    stream: float
    rewrite: float = 0.0

    @property
    def total(self) -> float:
        return max(self.embedding, self.rewrite) + self.first_token + self.stream


REALISTIC = Latencies(embedding=0.2, first_token=0.5, stream=3.0)
AT_ONCE = Latencies(0, 0, 0)
OLD = Latencies(embedding=0.5, first_token=1.0, stream=4.5)  # the middle of the replaced system's 3 to 8 s
FOLLOW_UP = Latencies(rewrite=2.0, embedding=0.5, first_token=0.02, stream=2.98)  # two calls in the replaced system
# Three times as long: the same work for each answer in three times the time approximates a machine three times as fast.
UNHURRIED = Latencies(*(3 * seconds for seconds in astuple(FOLLOW_UP)))
LONG = Latencies(embedding=0.5, first_token=1.0, stream=18.5)  # many in flight, few starts and ends in a second


class Control:
    """A client of the simulator's control API."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url}/control"

    async def begin(self, latencies: Latencies, deltas: int = DELTAS) -> None:
        """Reset the simulator, its counters and its journal, and answer with these latencies from now on."""
        await self.call("POST", "/reset")
        await self.change(
            first_token=latencies.first_token,
            token_interval=latencies.stream / max(1, deltas - 1),
            embedding_latency=latencies.embedding,
            rewrite_latency=latencies.rewrite,
            answer_tokens=deltas,
        )

    async def change(self, **settings: float | None) -> None:
        """Change these settings of the simulator and leave the others."""
        await self.call("PATCH", json={"settings": settings})

    async def counters(self) -> dict[str, Any]:
        """What the simulator counted since the last reset."""
        answer: dict[str, Any] = (await self.call("GET"))["counters"]
        return answer

    async def requests(self, last: int = JOURNAL, bodies: bool = True) -> list[dict[str, Any]]:
        """The last requests in the simulator's journal."""
        path = f"/requests?last={last}" + ("" if bodies else "&bodies=false")
        answer: list[dict[str, Any]] = (await self.call("GET", path))["requests"]
        return answer

    async def call(self, method: str, path: str = "", **options: Any) -> Any:
        """Make a call to the control API. Raises aiohttp.ClientError."""
        async with self._http.request(method, self._url + path, **options) as response:
            response.raise_for_status()
            return await response.json()


def number_of(request: dict[str, Any]) -> int:
    """The number of the question that a request of the journal was made for; -1 when it belongs to no question."""
    body = request["body"]
    text = body["input"][0] if "input" in body else body["messages"][-1]["content"]
    return number_in(text)


@asynccontextmanager
async def gateway(config: LlmConfig, limits: Limits) -> AsyncIterator[Callable[[Caller], Llm]]:
    """A client with a rate governor and breakers, as workers use it; yields a function that makes a caller's `Llm`."""
    async with Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as redis, connect(config) as client:
        traffic = Traffic(Governor(redis, limits), Breakers(redis))
        yield lambda caller: Llm(client, config, lambda call: None, traffic, caller)
