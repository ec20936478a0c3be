"""What scenarios share: their inputs, and rows that several of them report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.lab.bench.cpu import Meter
from tests.lab.bench.load import Answer, Crowd
from tests.lab.report import Row
from tests.lab.rig import Rig
from tests.lab.stats import percentile
from tests.lab.upstream import AT_ONCE, Control

GETS_PER_SECOND = 20


@dataclass(frozen=True)
class Bench:
    """The inputs of a scenario: the running platform, the simulator's control, the people, a lesson's API path."""

    rig: Rig
    control: Control
    crowd: Crowd
    lesson_path: str


async def one_by_one(bench: Bench, count: int) -> list[float]:
    """Milliseconds from POST to 202 on an idle platform: each question is asked after the previous answer."""
    await bench.control.begin(AT_ONCE, deltas=1)
    return [(await bench.crowd.ask(bench.crowd.people[0])).accept_ms for _ in range(count)]


def latency_rows(what: str, values: Sequence[float], p50: float | None = None, p99: float | None = None) -> list[Row]:
    """Two rows: the median and the 99th percentile."""
    return [
        Row(f"{what}, p50", percentile(values, 50), "ms", p50),
        Row("the same, p99", percentile(values, 99), "ms", p99),
    ]


def usage(meter: Meter, answers: Sequence[Answer]) -> tuple[dict[str, float], list[str]]:
    """Processor milliseconds of each part for each answer, and remarks on the quality of the measurement."""
    cpu = {part: seconds * 1000 / len(answers) for part, seconds in meter.parts().items()}
    remarks = [f"other programs used {meter.others_percent():.0f} % of the machine"]
    if missed := sum(answer.missed for answer in answers):
        remarks.append(f"the end of {missed} answers was not pushed; their viewers had to ask for it")
    return cpu, remarks
