"""Reports as Markdown tables: measured values with their targets, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psutil


@dataclass(frozen=True)
class Row:
    """One measured value; it has to be below `target`, and a row without a target is for comparison only.

    `inclusive`: the value may equal the target. `at_least`: the value has to reach the target instead.
    """

    what: str
    value: float
    unit: str
    target: float | None = None
    inclusive: bool = False
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """met, **missed**, or empty without a target."""
        if self.target is None:
            return ""
        if self.at_least:
            met = self.value >= self.target
        else:
            met = self.value <= self.target if self.inclusive else self.value < self.target
        return "met" if met else "**missed**"

    def cells(self) -> list[str]:
        """The cells of the row's line in the table."""
        sign = ">=" if self.at_least else "<=" if self.inclusive else "<"
        target = "" if self.target is None else f"{sign} {_number(self.target, self.unit)}"
        return [self.what, _number(self.value, self.unit), target, self.verdict]


@dataclass
class Result:
    """The result of one scenario. `cpu` holds the processor milliseconds of each part for each answer."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether no target was missed."""
        return not any("missed" in row.verdict for row in self.rows)


def render(machine: str, results: Sequence[Result]) -> str:
    """The whole report."""
    parts = [f"Machine: {machine}", table(_HEAD, (row.cells() for result in results for row in result.rows))]
    parts.append("\n".join(f"- {result.title}: {'; '.join(result.notes)}" for result in results if result.notes))
    with_cpu = [result for result in results if result.cpu]
    if with_cpu:
        parts += ["Processor time for each answer, in milliseconds:", _cpu_table(with_cpu)]
    return "\n\n".join(part for part in parts if part)


def machine(seconds: float = 1.0) -> str:
    """Describe this machine, and how busy it is during the next `seconds`."""
    busy = psutil.cpu_percent(interval=seconds)
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB memory, Python {platform.python_version()}, "
        f"{platform.system()}; {busy:.0f} % busy before the run"
    )


_HEAD = ["measured", "result", "target", "verdict"]


def _cpu_table(results: Sequence[Result]) -> str:
    parts = list(results[0].cpu)
    rows = ([result.title, *(f"{result.cpu[part]:.1f}" for part in parts)] for result in results)
    return table(["scenario", *parts], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def say(what: str) -> None:
    """Print a line of progress; the report alone goes to standard output."""
    print(f"- {what}", file=sys.stderr, flush=True)


def _number(value: float, unit: str) -> str:
    if unit == "x":
        return f"{value:.2f}x"
    digits = 0 if value >= 100 or not unit else 1
    return f"{value:.{digits}f} {unit}".rstrip()
