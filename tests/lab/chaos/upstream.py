"""The simulator's faults, and a record of the answer calls that it received."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.lab.chaos.plan import UpstreamChange
from tests.lab.upstream import JOURNAL, Control, number_of

RECORDED = 500  # requests of the journal that are read each time


@dataclass(frozen=True)
class Billed:
    """An answer call for which the upstream sent text. `is_broken`: an injected fault ended it."""

    number: int
    is_broken: bool


class Upstream(Control):
    """Sets faults and records all answer calls, since the simulator remembers only the last requests."""

    def __init__(self, http: Any, url: str) -> None:
        super().__init__(http, url)
        self._seen: dict[str, Billed] = {}

    async def set(self, change: UpstreamChange) -> None:
        """Replace all faults by those of this change."""
        await self.call("DELETE", "/faults")
        await self.change(down=change.down)
        if change.fault:
            await self.call("POST", "/faults", json=change.fault)

    async def record(self, last: int = RECORDED) -> None:
        """Add the newest requests to the record."""
        for request in await self.requests(last):
            if request["purpose"] == "answer" and request["chunks"]:
                self._seen[request["id"]] = Billed(number_of(request), request["fault"] is not None)

    async def billed(self) -> list[Billed]:
        """All answer calls for which text was sent."""
        await self.record(JOURNAL)
        return list(self._seen.values())
