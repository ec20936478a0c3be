"""Processor time of the parts of the stack, of the load generator, and of everything else on the machine."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import psutil


class Meter:
    """Counts the processor seconds of named processes and their children, from its creation on."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = {**pids, "load generator": os.getpid()}
        self._began = time.monotonic()
        self._parts, self._all = self._read()

    def parts(self) -> dict[str, float]:
        """Processor seconds of each part."""
        return self._used()[0]

    def others_percent(self) -> float:
        """The share of the machine's processor time that other programs used."""
        parts, everything = self._used()
        seconds = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return max(0.0, (everything - sum(parts.values())) / seconds * 100)

    def _used(self) -> tuple[dict[str, float], float]:
        parts, everything = self._read()
        return {part: parts[part] - self._parts[part] for part in parts}, everything - self._all

    def _read(self) -> tuple[dict[str, float], float]:
        # Children of this process are counted under their own names.
        parts = {part: _seconds(pid, children=pid != os.getpid()) for part, pid in self._pids.items()}
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        return parts, float(sum(times[:8]) - idle)  # guest times are included in user times


def _seconds(pid: int, children: bool) -> float:
    process = psutil.Process(pid)
    total = 0.0
    for each in [process, *(process.children(recursive=True) if children else [])]:
        with suppress(psutil.NoSuchProcess):  # a short-lived Postgres backend
            times = each.cpu_times()
            total += times.user + times.system
    return total
