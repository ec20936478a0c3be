"""Tunes the interpreter of a process before it starts to serve."""

from __future__ import annotations

import gc
import sys

GC_THRESHOLD_OBJECTS = 10_000
SWITCH_SECONDS = 0.002


def settle() -> None:
    """Tune garbage collection and thread switching. Call it after loading everything, before serving.

    Django and its libraries are half a million objects that are never garbage, and a full collection visits all of
    them: up to 0.2 s every few seconds under load, in which the process does nothing else. So they are frozen.
    The event loops of Daphne and the workers share the interpreter with threads. By default a loop waits up to 5 ms for
    each busy thread. Far below 2 ms, a hundred concurrent requests cost 50 % more CPU time (docs/decisions/0021).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_OBJECTS)
    sys.setswitchinterval(SWITCH_SECONDS)
