"""The statistics that reports need."""

from __future__ import annotations

import math
from collections.abc import Collection


def percentile(values: Collection[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed (nearest rank, no interpolation).

    Raises ValueError when there are no values.
    """
    if not values:
        raise ValueError("no percentile without values")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


def ratio(value: float, base: float) -> float:
    """`value / base`. Raises ValueError for a base of zero or less, which is a failed measurement."""
    if base <= 0:
        raise ValueError(f"cannot compare with {base}")
    return value / base


def mean(values: Collection[float]) -> float:
    """The arithmetic mean. Raises ValueError when there are no values."""
    if not values:
        raise ValueError("no mean without values")
    return math.fsum(values) / len(values)
