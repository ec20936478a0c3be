"""The plan of faults, drawn from a seed: the same seed gives the same plan."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Target = Literal["worker", "web", "redis", "postgres", "flush", "breaker", "keys", "shapes", "lock", "outage"]
KILLED: tuple[Target, ...] = ("worker", "web", "redis", "postgres")  # the others kill nothing
LONG: tuple[Target, ...] = ("breaker", "shapes", "lock", "outage")  # nothing else is disrupted meanwhile
TARGETS: tuple[Target, ...] = (*KILLED, "flush", "keys", *LONG)
BETWEEN = (3.0, 7.0)  # seconds from one disruption to the next
DOWN = (0.2, 3.0)
FIRST = 2.0
LEASE_SECONDS = 8  # on a busy machine a heartbeat may be seconds late
# Seconds that a disruption may take. A lock outlasts a lease. Of the others, see DETAILS.
LASTS: dict[Target, tuple[float, float]] = {
    "breaker": (20.0, 20.0),
    "lock": (LEASE_SECONDS + 2.0, LEASE_SECONDS + 5.0),
    "outage": (18.0, 22.0),
    "shapes": (6.0, 6.0),
}
ROLES = ("fast", "chat", "embedding")  # the models of the settings, by what they are for
# What of a target is disrupted, in turn: the breaker is flushed in this state, the table is locked in this mode or one
# running row is, the model of this role is down.
DETAILS: dict[Target, tuple[str, ...]] = {
    "breaker": ("failing", "opened", "half-opened"),
    "lock": ("share", "access exclusive", "row"),
    "outage": ROLES,
}
CLOCK_AHEAD = 25.0  # seconds; three leases

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
    """From this second of the run on the target is disrupted, for at most `seconds`. `detail`: one of DETAILS."""

    at: float
    target: Target
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class UpstreamChange:
    """From this second of the run on, the upstream fails some calls, refuses connections (`down`), or works."""

    at: float
    fault: dict[str, Any] | None = None
    down: bool = False


@dataclass(frozen=True)
class Clocks:
    """The clock of the worker with this number (from 0) is CLOCK_AHEAD; that of the web process is if `web`.

    `from_start`: for the whole run. Otherwise from the first time that the process is restarted.
    """

    worker: int
    web: bool
    from_start: bool


def disruptions(seed: int, seconds: float) -> list[Disruption]:
    """Rounds of all targets, each in a random order, for a run of this length."""
    return list(itertools.takewhile(lambda planned: planned.at < seconds, _disruptions(seed)))


def round_seconds(seed: int) -> float:
    """The length of the first round: a run of this length has every disruption once."""
    last = next(itertools.islice(_disruptions(seed), len(TARGETS) - 1, None))
    return last.at + last.seconds


def clocks(seed: int, workers: int) -> Clocks:
    """Whose clocks are off."""
    drawn = random.Random(f"clocks {seed}")
    return Clocks(drawn.randrange(workers), drawn.random() < 0.5, drawn.random() < 0.5)


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


def _disruptions(seed: int) -> Iterator[Disruption]:
    drawn = random.Random(f"blows {seed}")
    details = {target: _rotated(drawn, of_target) for target, of_target in DETAILS.items()}
    at = FIRST
    for target in _in_turn(drawn):
        lasts = drawn.uniform(*LASTS.get(target, DOWN))
        yield Disruption(at, target, lasts, next(details[target]) if target in details else "")
        at += drawn.uniform(*BETWEEN) + (lasts if target in LASTS else 0.0)


def _rotated(drawn: random.Random, details: tuple[str, ...]) -> Iterator[str]:
    """The details in turn, without an end, from a random one on."""
    first = drawn.randrange(len(details))
    return itertools.cycle(details[first:] + details[:first])


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
