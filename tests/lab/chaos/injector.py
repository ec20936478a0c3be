"""Injects the planned faults and restarts ended programs as a supervisor would."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from devstack.servers import processes
from devstack.servers.processes import Program
from tests.lab.chaos import database, locks, strangers
from tests.lab.chaos.breakers import Breakers
from tests.lab.chaos.bystanders import NEEDED, Bystanders
from tests.lab.chaos.plan import CLOCK_AHEAD, Clocks, Disruption, Target, UpstreamChange
from tests.lab.chaos.upstream import Upstream
from tests.lab.report import say
from tests.lab.rig import Rig

CHECK_SECONDS = 0.2
RECORD_SECONDS = 3.0
CALM_SECONDS = 30.0  # in which what was disrupted before has to work again
CLOCK = str(Path(__file__).parent / "clock")


@dataclass(frozen=True)
class Injected:
    """A disruption that was carried out, from one Unix time to another. `detail`: as planned; of a breaker, as seen."""

    target: Target
    at: float
    until: float = 0.0
    detail: str = ""


class Injector:
    """Injects faults. `injected` lists them; `ended` counts programs that ended without being killed.

    `models`: the names of the models, by role.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        rig: Rig,
        upstream: Upstream,
        breakers: Breakers,
        bystanders: Bystanders,
        models: dict[str, str],
    ) -> None:
        self.injected: list[Injected] = []
        self.ended: Counter[str] = Counter()
        self._http = http
        self._rig = rig
        self._upstream = upstream
        self._breakers = breakers
        self._bystanders = bystanders
        self._models = models
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
            say(f"{time.monotonic() - began:5.1f} s: {disruption.target} {disruption.detail}".rstrip())
            await self._inject(disruption, number)

    async def change_upstream(self, changes: Sequence[UpstreamChange]) -> None:
        """Carry out each change of the upstream at its time."""
        began = time.monotonic()
        for change in changes:
            await asyncio.sleep(max(0.0, began + change.at - time.monotonic()))
            await self._upstream.set(change)

    async def set_clocks(self, clocks: Clocks) -> None:
        """Put the clocks of these programs forward, by restarting them now or when they are restarted anyway."""
        programs = [self._rig.workers[clocks.worker], *([self._rig.web] if clocks.web else [])]
        for program in programs:
            program.env |= {"PYTHONPATH": CLOCK, "CLOCK_AHEAD": str(CLOCK_AHEAD)}
            when = "now" if clocks.from_start else "its next start"
            say(f"the clock of {program.name} is {CLOCK_AHEAD:.0f} s ahead from {when} on")
            if clocks.from_start:
                self._killed.add(program.name)
                await asyncio.to_thread(processes.end, program.process)

    async def _inject(self, disruption: Disruption, number: int) -> None:
        at, seen = time.time(), disruption.detail
        match disruption.target:
            case "flush":
                await self._breakers.flush()
            case "breaker":
                chat = self._models["chat"]
                seen = await self._breakers.flush_in(seen, chat, disruption.seconds, self._upstream)
            case "keys":
                await strangers.plant_keys(
                    self._rig.parts.env["REDIS_URL"], await database.call(strangers.running_jobs)
                )
            case "shapes":
                async with self._upstream.calm():
                    await self._until_well("fast")
                    await self._upstream.send_shapes()
                    await asyncio.sleep(disruption.seconds)
            case "lock":
                await asyncio.to_thread(locks.hold, disruption.detail, disruption.seconds)
            case "outage":
                at = await self._fail_one(disruption.detail, disruption.seconds)
            case "postgres":
                await self._kill_postgres(disruption.seconds)
            case "worker":
                await self._kill(self._rig.workers[number % len(self._rig.workers)], disruption.seconds)
            case "web":
                await self._kill(self._rig.web, disruption.seconds)
            case "redis":
                assert self._rig.parts.redis is not None
                await self._kill(self._rig.parts.redis, disruption.seconds)
        self.injected.append(Injected(disruption.target, at, time.time(), seen))

    async def _fail_one(self, role: str, seconds: float) -> float:
        """Have the model of this role fail while all others work; returns when it began to."""
        async with self._upstream.calm():
            asking = asyncio.create_task(self._bystanders.ask(role))
            try:
                await self._until_well(role)
                at = time.time()
                await self._upstream.fail(self._models[role])
                await asyncio.sleep(seconds)
            finally:
                asking.cancel()
                await asyncio.wait([asking])
        return at

    async def _until_well(self, role: str) -> None:
        """Return when the platform is ready and the models but that of this role work, or after CALM_SECONDS."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CALM_SECONDS):
                while not (await self._is_ready() and all([await self._is_closed(other) for other in NEEDED[role]])):
                    await asyncio.sleep(CHECK_SECONDS)

    async def _is_ready(self) -> bool:
        try:
            async with self._http.get("/readyz") as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _is_closed(self, role: str) -> bool:
        return await self._breakers.state(self._models[role]) in ("closed", "failing", "")

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
