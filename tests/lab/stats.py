"""The few statistics that a benchmark's table is made of."""

from __future__ import annotations

import math
from collections.abc import Collection


def percentile(values: Collection[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank).

    A value that really occurred, never one made up between two. ValueError without values.
    """
    if not values:
        raise ValueError("no percentile without values")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def ratio(value: float, base: float) -> float:
    """How many times the base this is. A base of zero or less is a measurement gone wrong: ValueError."""
    if base <= 0:
        raise ValueError(f"{base} is nothing to compare with")
    return value / base


def mean(values: Collection[float]) -> float:
    """The arithmetic mean; ValueError without values."""
    if not values:
        raise ValueError("no mean without values")
    return math.fsum(values) / len(values)
