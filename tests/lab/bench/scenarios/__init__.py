"""The scenarios. Each expects an idle platform and leaves it idle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.lab.bench.measuring import Bench
from tests.lab.bench.scenarios import answers, at_once, basics, limits, outage, personas, recovery, viewers
from tests.lab.report import Result

SCENARIOS: dict[str, Callable[[Bench], Awaitable[Result]]] = {
    "accept": basics.accept,
    "cpu": basics.cpu,
    "lessons": basics.lessons,
    "answers": answers.answers,
    "at_once": at_once.at_once,
    "viewers": viewers.viewers,
    "limits": limits.limits,
    "personas": personas.personas,
    "recovery": recovery.recovery,
    "outage": outage.outage,
}
BY_DEFAULT = [name for name in SCENARIOS if name != "outage"]  # it takes longer than all the others together
