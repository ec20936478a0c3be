"""Who uses the processors: the parts of the stack, the load generator, and everything else on the machine."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import psutil


class Meter:
    """Counts the processor seconds of named processes, children included, from when it is made."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = {**pids, "load generator": os.getpid()}
        self._began = time.monotonic()
        self._parts, self._all = self._read()

    def parts(self) -> dict[str, float]:
        """Processor seconds of each part."""
        return self._used()[0]

    def others_percent(self) -> float:
        """How much of the machine's processors went to programs that are no part of this."""
        parts, everything = self._used()
        seconds = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return max(0.0, (everything - sum(parts.values())) / seconds * 100)

    def _used(self) -> tuple[dict[str, float], float]:
        parts, everything = self._read()
        return {part: parts[part] - self._parts[part] for part in parts}, everything - self._all

    def _read(self) -> tuple[dict[str, float], float]:
        # Our own children are parts with names of their own.
        parts = {part: _seconds(pid, children=pid != os.getpid()) for part, pid in self._pids.items()}
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        return parts, float(sum(times[:8]) - idle)  # what follows is counted in the first eight already


def busy_percent(seconds: float) -> float:
    """How busy the machine is now, watched for so long."""
    return float(psutil.cpu_percent(interval=seconds))


def _seconds(pid: int, children: bool) -> float:
    process = psutil.Process(pid)
    total = 0.0
    for each in [process, *(process.children(recursive=True) if children else [])]:
        with suppress(psutil.NoSuchProcess):  # one of Postgres's short-lived helpers
            times = each.cpu_times()
            total += times.user + times.system
    return total
