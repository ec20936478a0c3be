"""Checks embeddings before Postgres does: pgvector refuses another width, NaN and infinity."""

from __future__ import annotations

from collections.abc import Sequence

LARGEST = 3e38  # pgvector stores 32-bit floats


def problem_of(vector: Sequence[float], dimensions: int) -> str:
    """Return why this vector cannot be stored or compared; "" if it can."""
    if len(vector) != dimensions:
        return f"the embedding has {len(vector)} dimensions instead of {dimensions}"
    if not sum(map(abs, vector)) < LARGEST:  # also false for NaN
        return "the embedding holds a number that is not finite"
    return ""
