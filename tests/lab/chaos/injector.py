"""Injects the planned faults and restarts ended programs as a supervisor would."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import redis.asyncio
from redis import RedisError

from devstack.servers.processes import Program
from tests.lab.chaos.plan import Disruption, Target, UpstreamChange
from tests.lab.chaos.upstream import Upstream
from tests.lab.report import say
from tests.lab.rig import Rig

CHECK_SECONDS = 0.2
RECORD_SECONDS = 3.0


@dataclass(frozen=True)
class Injected:
    """A disruption that was carried out, at this Unix time."""

    target: Target
    at: float


class Injector:
    """Injects faults. `injected` lists them; `ended` counts programs that ended without being killed."""

    def __init__(self, rig: Rig, upstream: Upstream) -> None:
        self.injected: list[Injected] = []
        self.ended: Counter[str] = Counter()
        self._rig = rig
        self._upstream = upstream
        self._is_paused = False  # a killed program stays down for a moment
        self._killed: set[str] = set()

    async def keep_running(self) -> None:
        """Restart programs that ended, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if not self._is_paused:
                self.ended.update(set(self._rig.parts.supervisor.check()) - self._killed)
                self._killed = {program.name for program in self._programs() if not program.is_running}

    async def keep_recording(self) -> None:
        """Record the upstream's requests, until cancelled."""
        while True:
            await asyncio.sleep(RECORD_SECONDS)
            await self._upstream.record()

    async def disrupt(self, disruptions: Sequence[Disruption]) -> None:
        """Carry out each disruption at its time."""
        began = time.monotonic()
        for number, disruption in enumerate(disruptions):
            await asyncio.sleep(max(0.0, began + disruption.at - time.monotonic()))
            self.injected.append(Injected(disruption.target, time.time()))
            say(f"{disruption.at:5.1f} s: {disruption.target}")
            await self._inject(disruption, number)

    async def change_upstream(self, changes: Sequence[UpstreamChange]) -> None:
        """Carry out each change of the upstream at its time."""
        began = time.monotonic()
        for change in changes:
            await asyncio.sleep(max(0.0, began + change.at - time.monotonic()))
            await self._upstream.set(change)

    async def _inject(self, disruption: Disruption, number: int) -> None:
        match disruption.target:
            case "flush":
                await _flush(self._rig.parts.env["REDIS_URL"])
            case "postgres":
                await self._kill_postgres(disruption.down)
            case "worker":
                await self._kill(self._rig.workers[number % len(self._rig.workers)], disruption.down)
            case "web":
                await self._kill(self._rig.web, disruption.down)
            case "redis":
                assert self._rig.parts.redis is not None
                await self._kill(self._rig.parts.redis, disruption.down)

    async def _kill(self, program: Program, down: float) -> None:
        assert program.process is not None
        self._killed.add(program.name)
        self._is_paused = True
        program.process.kill()
        await asyncio.sleep(down)
        self._is_paused = False

    async def _kill_postgres(self, down: float) -> None:
        postgres = self._rig.parts.postgres
        assert postgres is not None
        await asyncio.to_thread(postgres.kill)
        await asyncio.sleep(down)
        await asyncio.to_thread(postgres.start)

    def _programs(self) -> list[Program]:
        assert self._rig.parts.redis is not None
        return [self._rig.web, *self._rig.workers, self._rig.parts.redis]


async def _flush(url: str) -> None:
    client = redis.asyncio.Redis.from_url(url)
    try:
        await client.flushall()
    except (RedisError, OSError):
        pass  # it was just killed, and comes back empty
    finally:
        await client.aclose()
