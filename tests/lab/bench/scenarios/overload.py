"""Twice the load that the upstream allows, sent through the gateway to a simulator that enforces its limits."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

import aiohttp
from redis.asyncio import Redis

from llm.client import Messages
from llm.config import LlmConfig
from llm.errors import LlmError
from llm.governor import Caller, Limits
from llm.tokens import estimate
from tests.lab.bench.load import Unexpected, at_rate
from tests.lab.bench.measuring import Bench
from tests.lab.report import Row
from tests.lab.upstream import AT_ONCE, gateway

CALLS_PER_SECOND = 10  # allowed; twice as many are tried
PROMPT = "What is a window function good for? " * 120  # as long as one with passages
MAX_TOKENS = 800
WARM_UP, SECONDS = 5.0, 12.0
PEOPLE = 30
MODEL = "gpt-4.1-nano"
USERS = 50  # other clients that use the allowance up first
BY_REQUESTS = {"requests_per_minute": CALLS_PER_SECOND * 60}
BY_TOKENS = {"tokens_per_minute": CALLS_PER_SECOND * 60 * estimate(PROMPT)}


async def overload(bench: Bench) -> list[Row]:
    """The share of refused calls, and the share of the allowed rate that is used."""
    rows = []
    for what, limit in (("requests", BY_REQUESTS), ("tokens", BY_TOKENS)):
        statuses = await _statuses(bench, limit)
        if not statuses:
            raise Unexpected("the upstream received no call")
        refused, answered = statuses.count(429), statuses.count(200)
        rows += [
            Row(f"twice the allowed {what}: refused (429)", refused / len(statuses) * 100, "%", 1),
            Row("used of the allowed rate", answered / (CALLS_PER_SECOND * SECONDS) * 100, "%", 95, at_least=True),
        ]
    return rows


async def _statuses(bench: Bench, limit: dict[str, int]) -> list[int]:
    """The HTTP statuses of the calls, after the minute's allowance is used up and the load is steady."""
    await bench.control.begin(AT_ONCE, deltas=8)
    await bench.control.change(**limit)
    await _use_up(bench)
    await bench.control.change(first_token=0.3)
    async with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        await redis.delete(f"governor:{{{MODEL}}}:bucket")  # what it learned while there were no limits
    key, url = os.environ["OPENAI_API_KEY"], f"{bench.rig.parts.simulator_url}/v1"
    async with gateway(LlmConfig(key, url, MODEL, MODEL, MODEL), Limits()) as llm_for:

        async def ask(index: int) -> None:
            with suppress(LlmError):  # the upstream counts refused calls
                await llm_for(Caller(0, f"person-{index % PEOPLE}")).text("answer", _messages(), MAX_TOKENS)

        await ask(0)  # its response announces the limits
        measured_from = time.time() + WARM_UP
        calls = await at_rate(2 * CALLS_PER_SECOND, WARM_UP + SECONDS, ask)
        seen = await bench.control.requests(bodies=False)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
    await bench.control.begin(AT_ONCE)
    ours = [each for each in seen if each["model"] == MODEL and each["received_at"] >= measured_from]
    return [each["status"] for each in ours if each["status"]]


async def _use_up(bench: Bench) -> None:
    """Let other clients call the upstream until it refuses them."""
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    body = {"model": MODEL, "messages": _messages()}
    url = f"{bench.rig.parts.simulator_url}/v1/chat/completions"
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
