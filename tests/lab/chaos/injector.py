"""Carries out the plan, and starts again whatever has ended, as a supervisor would."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import redis.asyncio
from redis import RedisError

from devstack.servers.processes import Program
from tests.lab.chaos.plan import Blow, Target, Weather
from tests.lab.chaos.rig import Rig
from tests.lab.chaos.upstream import Upstream

CHECK_SECONDS = 0.2
LOOK_SECONDS = 3.0


@dataclass(frozen=True)
class Struck:
    """A blow that was carried out, and when (`time.time()`)."""

    target: Target
    at: float


class Havoc:
    """`struck` says what was done; `ended` counts programs that ended without being killed."""

    def __init__(self, rig: Rig, upstream: Upstream) -> None:
        self.struck: list[Struck] = []
        self.ended: Counter[str] = Counter()
        self._rig = rig
        self._upstream = upstream
        self._is_holding = False  # something is to stay down for a moment
        self._killed: set[str] = set()

    async def keep_running(self) -> None:
        """Start again what has ended, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if not self._is_holding:
                self.ended.update(set(self._rig.parts.supervisor.check()) - self._killed)
                self._killed = {program.name for program in self._programs() if not _is_running(program)}

    async def keep_looking(self) -> None:
        """Record the upstream's requests, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._upstream.look()

    async def strike(self, blows: Sequence[Blow]) -> None:
        """Kill and restart, each at its time."""
        began = time.monotonic()
        for number, blow in enumerate(blows):
            await asyncio.sleep(max(0.0, began + blow.at - time.monotonic()))
            self.struck.append(Struck(blow.target, time.time()))
            print(f"- {blow.at:5.1f} s: {blow.target}", file=sys.stderr, flush=True)
            await self._strike(blow, number)

    async def blow(self, weather: Sequence[Weather]) -> None:
        """Let the upstream fail in one way after another."""
        began = time.monotonic()
        for change in weather:
            await asyncio.sleep(max(0.0, began + change.at - time.monotonic()))
            await self._upstream.set(change)

    async def _strike(self, blow: Blow, number: int) -> None:
        match blow.target:
            case "flush":
                await _flush(self._rig.parts.env["REDIS_URL"])
            case "postgres":
                await self._kill_postgres(blow.down)
            case "worker":
                await self._kill(self._rig.workers[number % len(self._rig.workers)], blow.down)
            case "web":
                await self._kill(self._rig.web, blow.down)
            case "redis":
                assert self._rig.parts.redis is not None
                await self._kill(self._rig.parts.redis, blow.down)

    async def _kill(self, program: Program, down: float) -> None:
        assert program.process is not None
        self._killed.add(program.name)
        self._is_holding = True
        program.process.kill()
        await asyncio.sleep(down)
        self._is_holding = False

    async def _kill_postgres(self, down: float) -> None:
        postgres = self._rig.parts.postgres
        assert postgres is not None
        await asyncio.to_thread(postgres.kill)
        await asyncio.sleep(down)
        await asyncio.to_thread(postgres.start)

    def _programs(self) -> list[Program]:
        assert self._rig.parts.redis is not None
        return [self._rig.web, *self._rig.workers, self._rig.parts.redis]


def _is_running(program: Program) -> bool:
    return program.process is not None and program.process.poll() is None


async def _flush(url: str) -> None:
    client = redis.asyncio.Redis.from_url(url)
    try:
        await client.flushall()
    except (RedisError, OSError):
        pass  # it has just been killed: empty as well
    finally:
        await client.aclose()
