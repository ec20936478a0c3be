"""The simulator's faults, and a record of the answer calls that it received."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.lab.chaos.plan import UpstreamChange
from tests.lab.chaos.shapes import SHAPES
from tests.lab.upstream import JOURNAL, Control, number_of

RECORDED = 500  # requests of the journal that are read each time
SHAPELESS = 1.5  # replies of unforeseen shapes for each call, if they did not exclude each other
SPOILING = ("raw", "garbage")  # besides those that break off what has begun
# A model that is down refuses some calls at once; the others are under way for long.
DOWN: tuple[dict[str, Any], ...] = (
    {"endpoint": "*", "kind": "503", "probability": 0.4},
    {"endpoint": "*", "kind": "hang"},
)


@dataclass(frozen=True)
class Billed:
    """An answer call for which the upstream sent text. `is_broken`: an injected fault ended it."""

    number: int
    is_broken: bool


class Upstream(Control):
    """Sets faults and records all answer calls, since the simulator remembers only the last requests.

    `unreadable`: the ids of calls with a reply of an unforeseen shape, and when, as a Unix time. `spoiled`: of those
    whose answer had begun or come and was of no use, and the number of their question.
    """

    def __init__(self, http: Any, url: str) -> None:
        super().__init__(http, url)
        self.unreadable: dict[str, float] = {}
        self.spoiled: dict[str, int] = {}
        self._seen: dict[str, Billed] = {}
        self._change = UpstreamChange(0.0)
        self._is_calm = False
        self._setting = asyncio.Lock()

    async def set(self, change: UpstreamChange) -> None:
        """Replace all faults by those of this change; after the block if one of `calm` is under way."""
        async with self._setting:
            self._change = change
            if not self._is_calm:
                await self._apply()

    @asynccontextmanager
    async def calm(self) -> AsyncIterator[None]:
        """All models work while the block lasts, except for those that `fail` names."""
        async with self._setting:
            self._is_calm = True
            await self.call("DELETE", "/faults")
            await self.change(down=False)
        try:
            yield
        finally:
            async with self._setting:
                self._is_calm = False
                await self._apply()

    async def fail(self, model: str) -> None:
        """Have all calls to this model fail, until the block of `calm` ends."""
        for rule in DOWN:
            await self.call("POST", "/faults", json=rule | {"model": model})

    async def send_shapes(self) -> None:
        """Have most calls answered by replies of unforeseen shapes, until the block of `calm` ends."""
        for shape in SHAPES:
            rule = {"endpoint": "*", "kind": "raw", "probability": SHAPELESS / len(SHAPES)}
            await self.call("POST", "/faults", json=rule | shape)

    async def record(self, last: int = RECORDED) -> None:
        """Add the newest requests to the record."""
        for request in await self.requests(last):
            if request["purpose"] == "answer" and request["chunks"]:
                self._seen[request["id"]] = Billed(number_of(request), request["fault"] is not None)
            if request["fault"] == "raw" and request["finished_at"]:
                self.unreadable[request["id"]] = request["finished_at"]
            if request["fault"] in SPOILING or (request["fault"] and request["chunks"]):
                self.spoiled[request["id"]] = number_of(request)

    async def billed(self) -> list[Billed]:
        """All answer calls for which text was sent."""
        await self.record(JOURNAL)
        return list(self._seen.values())

    async def _apply(self) -> None:
        await self.call("DELETE", "/faults")
        await self.change(down=self._change.down)
        if self._change.fault:
            await self.call("POST", "/faults", json=self._change.fault)
