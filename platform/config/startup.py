"""How a process that serves people sets up the interpreter, once everything is loaded."""

from __future__ import annotations

import gc
import sys

COLLECT_AFTER = 10_000  # new objects
SWITCH_SECONDS = 0.002


def settle() -> None:
    """Tune garbage collection and thread switching. To be called when everything is loaded, before the first request.

    Django and its libraries are half a million objects that are never garbage, and a full collection visits all of
    them: up to 0.2 s every few seconds under load, in which the process does nothing else. So they are frozen.
    The event loop of Daphne and of the workers runs beside threads: by default it waits up to 5 ms for each thread that
    computes. With much less than 2 ms, a hundred requests at once cost half as much again (docs/decisions/0021).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_SECONDS)
