"""SQL that Django's ORM cannot express: hand-written statements and advisory locks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import DateTimeField, Func

# The time by the clock of Postgres, when the row is written: hosts' clocks differ, and a statement may wait for a lock.
CLOCK = Func(function="clock_timestamp", output_field=DateTimeField())


def execute(statement: str) -> None:
    """Run a statement that returns nothing."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


def first_row(statement: str, values: Mapping[str, Any] | Sequence[Any]) -> tuple[Any, ...] | None:
    """Run a statement and return its first row, or None when it returns no row."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def lock(name: str) -> None:
    """Acquire the advisory lock of this name and hold it until the transaction ends. Blocks while another holds it."""
    first_row("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def try_lock(name: str) -> bool:
    """Try to acquire the lock of this name until the transaction ends; False if another transaction holds it."""
    row = first_row("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
    return bool(row and row[0])
