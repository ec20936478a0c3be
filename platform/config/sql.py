"""Statements that are written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection


def first_row(statement: str, values: Mapping[str, Any] | Sequence[Any]) -> tuple[Any, ...] | None:
    """Run a statement; the first row that it returns, None when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row
