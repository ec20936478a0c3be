"""What goes wrong and when, drawn from a seed: the same seed plans the same run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Target = Literal["worker", "web", "redis", "flush", "postgres"]
TARGETS: tuple[Target, ...] = ("worker", "web", "redis", "postgres", "flush")
KILLED: tuple[Target, ...] = ("worker", "web", "redis", "postgres")  # FLUSHALL empties Redis and kills nothing
BETWEEN = (3.0, 7.0)  # seconds from one blow to the next
DOWN = (0.2, 3.0)
FIRST = 2.0

PASSING = ("429", "slow_down", "500", "503", "disconnect", "stall", "hang", "garbage")
# What fails an answer for good, and the code that it fails with.
LASTING = {
    "quota": "upstream_quota",
    "401": "upstream_auth",
    "400": "upstream_rejected",
    "refuse": "refused",
    "content_filter": "refused",
}
FAULTS = (*PASSING, *LASTING)
WEATHER = (2.0, 5.0)  # seconds that the upstream stays as it is
PROBABLE, RARE = (0.05, 0.3), (0.01, 0.05)  # a fault, for one call: one that passes, and one that does not


@dataclass(frozen=True)
class Blow:
    """At this second of the run the target is killed, and started again after `down` seconds."""

    at: float
    target: Target
    down: float


@dataclass(frozen=True)
class Weather:
    """From this second of the run on, the upstream does this: fail some calls, be away altogether, or neither."""

    at: float
    fault: dict[str, Any] | None = None
    down: bool = False


def blows(seed: int, seconds: float) -> list[Blow]:
    """Every target in turn, in an order drawn anew each time, for so many seconds."""
    drawn = random.Random(f"blows {seed}")
    planned, at = list[Blow](), FIRST
    for target in _in_turn(drawn):
        if at >= seconds:
            return planned
        planned.append(Blow(at, target, drawn.uniform(*DOWN)))
        at += drawn.uniform(*BETWEEN)
    raise AssertionError("there is always another target")


def weather(seed: int, seconds: float) -> list[Weather]:
    """A fault of each kind in turn; every third time the upstream is down or well instead."""
    drawn = random.Random(f"weather {seed}")
    planned, at, faults = list[Weather](), 0.0, list[str]()
    while at < seconds:
        faults = faults or drawn.sample(FAULTS, len(FAULTS))
        if len(planned) % 3 == 2:
            planned.append(Weather(at, down=drawn.random() < 0.5))
        else:
            planned.append(Weather(at, _fault(drawn, faults.pop())))
        at += drawn.uniform(*WEATHER)
    return planned


def _fault(drawn: random.Random, kind: str) -> dict[str, Any]:
    if kind in LASTING:
        return {"endpoint": "chat", "purpose": "answer", "kind": kind, "probability": drawn.uniform(*RARE)}
    rule = {"endpoint": drawn.choice(("chat", "*")), "kind": kind, "probability": drawn.uniform(*PROBABLE)}
    return rule | {"afterTokens": drawn.randrange(40)} if kind in ("disconnect", "stall", "garbage") else rule


def _in_turn(drawn: random.Random) -> Iterator[Target]:
    """Never a worker twice in a row: a job that loses two workers is given up, which would be right and say nothing."""
    last: Target | None = None
    while True:
        turn = drawn.sample(TARGETS, len(TARGETS))
        if turn[0] != last:
            yield from turn
            last = turn[-1]
