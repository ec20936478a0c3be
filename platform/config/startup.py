"""Tunes the garbage collector of a process before it starts to serve."""

from __future__ import annotations

import gc

GC_THRESHOLD_OBJECTS = 10_000  # new objects


def settle() -> None:
    """Freeze all objects that exist now, and collect garbage less often. Call it after everything is loaded.

    Django and its libraries are half a million objects that are never garbage. Under load, a full collection scans all
    of them every few seconds and stops the process for up to 0.2 s.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD_OBJECTS)
