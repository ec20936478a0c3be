"""Twice the load that the upstream allows, through the gateway, against a simulator that enforces its limits."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

import aiohttp
from redis.asyncio import Redis

from llm.breaker import Breakers
from llm.client import Llm, Messages, Traffic
from llm.config import LlmConfig
from llm.errors import LlmError
from llm.governor import Caller, Governor, Limits
from llm.sdk import connect
from llm.tokens import estimate
from tests.lab.bench.load import Unexpected, at_rate
from tests.lab.bench.measuring import Bench
from tests.lab.report import Row
from tests.lab.upstream import Latencies

CALLS_PER_SECOND = 10  # allowed; twice as many are asked for
PROMPT = "What is a window function good for? " * 120  # as long as one with passages
MAX_TOKENS = 800
WARM_UP, SECONDS = 5.0, 12.0
PEOPLE = 30
MODEL = "gpt-4.1-nano"
USERS = 50  # who use the allowance up before
BY_REQUESTS = {"requests_per_minute": CALLS_PER_SECOND * 60}
BY_TOKENS = {"tokens_per_minute": CALLS_PER_SECOND * 60 * estimate(PROMPT)}


async def overload(bench: Bench) -> list[Row]:
    """How often the upstream refuses, and how much of what it allows is used."""
    rows = []
    for what, limit in (("requests", BY_REQUESTS), ("tokens", BY_TOKENS)):
        statuses = await _statuses(bench, limit)
        if not statuses:
            raise Unexpected("the upstream was asked for nothing")
        refused, answered = statuses.count(429), statuses.count(200)
        rows += [
            Row(f"twice the allowed {what}: refused (429)", refused / len(statuses) * 100, "%", 1),
            Row("used of the allowed rate", answered / (CALLS_PER_SECOND * SECONDS) * 100, "%", 95, at_least=True),
        ]
    return rows


async def _statuses(bench: Bench, limit: dict[str, int]) -> list[int]:
    """What became of the calls, after the allowance for a minute has been used up and the load has lasted a while."""
    await bench.control.begin(Latencies(0, 0, 0), deltas=8)
    await bench.control.change(**limit)
    await _use_up(bench)
    await bench.control.change(first_token=0.3)
    redis = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    await redis.delete(f"governor:{{{MODEL}}}:bucket")  # what was learned without limits
    url, key = f"{bench.rig.simulator_url}/v1", os.environ["OPENAI_API_KEY"]
    config = LlmConfig(key, url, MODEL, MODEL, MODEL)
    client, traffic = connect(config), Traffic(Governor(redis, Limits()), Breakers(redis))

    async def ask(index: int) -> None:
        llm = Llm(client, config, lambda call: None, traffic, Caller(0, f"person-{index % PEOPLE}"))
        with suppress(LlmError):  # refused: counted by the upstream
            await llm.text("answer", _messages(), MAX_TOKENS)

    await ask(0)  # what the limits are
    measured_from = time.time() + WARM_UP
    calls = await at_rate(2 * CALLS_PER_SECOND, WARM_UP + SECONDS, ask)
    statuses = await bench.control.statuses(MODEL, measured_from)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await redis.aclose()
    await client.close()
    await bench.control.begin(Latencies(0, 0, 0))
    return statuses


async def _use_up(bench: Bench) -> None:
    """Somebody else uses the account until it is refused."""
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    body = {"model": MODEL, "messages": _messages()}
    url = f"{bench.rig.simulator_url}/v1/chat/completions"
    async with aiohttp.ClientSession(headers=headers) as http:

        async def ask_on() -> None:
            while True:
                async with http.post(url, json=body) as response:
                    await response.read()
                if response.status != 200:
                    return

        await asyncio.gather(*(ask_on() for _ in range(USERS)))


def _messages() -> Messages:
    return [{"role": "user", "content": PROMPT}]
