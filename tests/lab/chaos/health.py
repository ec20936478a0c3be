"""What the platform says of itself after the last answer: /readyz, /metrics and its logs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from tests.lab.chaos.people import KIND

WAIT_SECONDS = 90.0  # for the totals, which workers add to every few seconds, and for the report of a minute
LOOK_SECONDS = 1.0
_LINE = re.compile(r"^course_ai_(\w+?)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass
class Health:
    """The HTTP status of both pages, 0 without an answer; what /metrics says; whether the log names the strangers.

    `swept`: seconds since the last sweep. `counted`: ends of answers in the totals. `failures`: of background tasks.
    """

    ready: int = 0
    metrics: int = 0
    swept: float = -1.0
    counted: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    is_reported: bool = False


async def look(http: aiohttp.ClientSession, ended: int, is_reported: Callable[[], bool]) -> Health:
    """Look until so many ends are counted and the strangers reported, or WAIT_SECONDS have passed."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        health = await _look(http, is_reported())
        is_done = health.counted >= ended and health.is_reported and health.ready == 200
        if is_done or time.monotonic() > deadline:
            return health
        await asyncio.sleep(LOOK_SECONDS)


async def _look(http: aiohttp.ClientSession, is_reported: bool) -> Health:
    health, text = Health(is_reported=is_reported), ""
    try:
        async with http.get("/readyz") as response:
            health.ready = response.status
        async with http.get("/metrics") as response:
            health.metrics, text = response.status, await response.text()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return health
    for name, labels, value in _LINE.findall(text):
        if name == "sweep_age_seconds":
            health.swept = float(value)
        elif name == "jobs_finished_total" and f'kind="{KIND}"' in labels:
            health.counted += int(float(value))
        elif name == "background_failures_total":
            health.failures[labels.removeprefix("task=").strip('"')] = int(float(value))
    return health
