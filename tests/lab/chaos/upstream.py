"""The simulator's side of the account: what was asked of it, and its faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.lab.chaos.plan import Weather
from tests.lab.upstream import JOURNAL, Control, number_of

LOOK_AT = 500  # of its last requests, at every look


@dataclass(frozen=True)
class Billed:
    """An answer call for which the upstream sent text. `is_broken`: it broke the answer off itself."""

    number: int
    is_broken: bool


class Upstream(Control):
    """Faults, and a record of all answer calls: the simulator itself remembers the last ones only."""

    def __init__(self, http: Any, url: str) -> None:
        super().__init__(http, url)
        self._seen: dict[str, Billed] = {}

    async def set(self, weather: Weather) -> None:
        """Fail from now on as this weather says, and in no other way."""
        await self._call("DELETE", "/faults")
        await self._call("PATCH", "", json={"settings": {"down": weather.down}})
        if weather.fault:
            await self._call("POST", "/faults", json=weather.fault)

    async def look(self, last: int = LOOK_AT) -> None:
        """Take the newest requests into the record."""
        for request in (await self._call("GET", f"/requests?last={last}"))["requests"]:
            if request["purpose"] == "answer" and request["chunks"]:
                self._seen[request["id"]] = Billed(number_of(request), request["fault"] is not None)

    async def billed(self) -> list[Billed]:
        """All answer calls that cost money."""
        await self.look(JOURNAL)
        return list(self._seen.values())
