"""Who uses the processors: the parts of the stack, the load generator, and everything else on the machine."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

OTHERS = "rest of the machine"


class Meter:
    """Reads the processor seconds of named processes, children included."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = {**pids, "load generator": os.getpid()}
        self._start = self._read()

    def since_start(self) -> dict[str, float]:
        """Processor seconds of each part since this meter was made."""
        now = self._read()
        used = {part: now[part] - self._start[part] for part in now}
        return {**used, OTHERS: used[OTHERS] - sum(used[part] for part in self._pids)}

    def _read(self) -> dict[str, float]:
        # Our own children are parts with names of their own.
        parts = {part: _seconds(pid, children=pid != os.getpid()) for part, pid in self._pids.items()}
        times = psutil.cpu_times()
        idle: float = times.idle + getattr(times, "iowait", 0.0)
        return {**parts, OTHERS: float(sum(times[:8])) - idle}


def busy_percent(seconds: float) -> float:
    """How busy the machine is, watched for so long."""
    return float(psutil.cpu_percent(interval=seconds))


def _seconds(pid: int, children: bool) -> float:
    process = psutil.Process(pid)
    total = 0.0
    for each in [process, *(process.children(recursive=True) if children else [])]:
        with suppress(psutil.NoSuchProcess):  # one of Postgres's short-lived helpers
            times = each.cpu_times()
            total += times.user + times.system
    return total
