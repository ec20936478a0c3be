"""The plan of faults, drawn from a seed: the same seed gives the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Target = Literal["worker", "web", "redis", "flush", "postgres"]
TARGETS: tuple[Target, ...] = ("worker", "web", "redis", "postgres", "flush")
KILLED: tuple[Target, ...] = ("worker", "web", "redis", "postgres")  # FLUSHALL empties Redis and kills nothing
BETWEEN = (3.0, 7.0)  # seconds from one disruption to the next
DOWN = (0.2, 3.0)
FIRST = 2.0

PASSING = ("429", "slow_down", "500", "503", "disconnect", "stall", "hang", "garbage")
# Faults that are not retried, and the error code of the job.
LASTING = {
    "quota": "upstream_quota",
    "401": "upstream_auth",
    "400": "upstream_rejected",
    "refuse": "refused",
    "content_filter": "refused",
}
FAULTS = (*PASSING, *LASTING)
UPSTREAM_SECONDS = (2.0, 5.0)  # between two changes of the upstream
PROBABLE, RARE = (0.05, 0.3), (0.01, 0.05)  # the probability for one call: of a fault that passes, and of a lasting one


@dataclass(frozen=True)
class Disruption:
    """At this second of the run the target is killed; it is restarted after `down` seconds."""

    at: float
    target: Target
    down: float


@dataclass(frozen=True)
class UpstreamChange:
    """From this second of the run on, the upstream fails some calls, refuses connections (`down`), or works."""

    at: float
    fault: dict[str, Any] | None = None
    down: bool = False


def disruptions(seed: int, seconds: float) -> list[Disruption]:
    """Rounds of all targets, each in a random order, for a run of this length."""
    drawn = random.Random(f"blows {seed}")
    planned, at = list[Disruption](), FIRST
    for target in _in_turn(drawn):
        if at >= seconds:
            return planned
        planned.append(Disruption(at, target, drawn.uniform(*DOWN)))
        at += drawn.uniform(*BETWEEN)
    raise AssertionError("the rounds are endless")


def upstream_changes(seed: int, seconds: float) -> list[UpstreamChange]:
    """Rounds of all kinds of faults, in a random order; at every third change the upstream is down or works instead."""
    drawn = random.Random(f"weather {seed}")
    planned, at, faults = list[UpstreamChange](), 0.0, list[str]()
    while at < seconds:
        faults = faults or drawn.sample(FAULTS, len(FAULTS))
        if len(planned) % 3 == 2:
            planned.append(UpstreamChange(at, down=drawn.random() < 0.5))
        else:
            planned.append(UpstreamChange(at, _fault(drawn, faults.pop())))
        at += drawn.uniform(*UPSTREAM_SECONDS)
    return planned


def _fault(drawn: random.Random, kind: str) -> dict[str, Any]:
    if kind in LASTING:
        return {"endpoint": "chat", "purpose": "answer", "kind": kind, "probability": drawn.uniform(*RARE)}
    rule = {"endpoint": drawn.choice(("chat", "*")), "kind": kind, "probability": drawn.uniform(*PROBABLE)}
    return rule | {"afterTokens": drawn.randrange(40)} if kind in ("disconnect", "stall", "garbage") else rule


def _in_turn(drawn: random.Random) -> Iterator[Target]:
    """Endless rounds, without the same target twice in a row: a job that loses two workers is failed on purpose."""
    last: Target | None = None
    while True:
        turn = drawn.sample(TARGETS, len(TARGETS))
        if turn[0] != last:
            yield from turn
            last = turn[-1]
