"""Explains every statement that Django sends, at the moment it is sent, and finds those that read too much."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.backends.signals import connection_created

BIG = 100_000  # a table of so many rows is never read from its beginning
MOST_ROWS = 5_000  # that a node of a plan may read
MOST_PAGES = 20_000  # of 8 KiB, that a statement may touch
_EXPLAINED = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_SCANS = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Bitmap Index Scan")


@dataclass(frozen=True)
class Offence:
    """A statement that reads too much, and how."""

    why: str
    statement: str

    def __str__(self) -> str:
        return f"{self.why}\n    {self.statement}"


class Recorder:
    """Explains statements of all threads while `recording`. They are executed for that, and rolled back."""

    def __init__(self, big_tables: set[str]) -> None:
        self.big_tables = big_tables
        self.statements: list[str] = []
        self.offences: list[Offence] = []
        self._is_recording = False
        self._most_rows = MOST_ROWS

    @contextmanager
    def recording(self, most_rows: int = MOST_ROWS) -> Iterator[None]:
        """Explain what the block sends; fails if any of it reads too much, or nothing was sent."""
        self.statements, self.offences, self._is_recording = [], [], True
        self._most_rows = most_rows
        try:
            yield
        finally:
            self._is_recording = False
        assert self.statements
        assert not self.offences, "\n".join(map(str, dict.fromkeys(self.offences)))

    def watch(self, connection: Any, **kwargs: Any) -> None:
        """Explain what goes through this connection; a receiver of connection_created."""
        if self._explain not in connection.execute_wrappers:
            connection.execute_wrappers.append(self._explain)

    def _explain(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if self._is_recording and _EXPLAINED.match(sql) and "advisory" not in sql:
            self.statements.append(sql)
            raw = context["connection"].connection
            with raw.transaction(force_rollback=True), raw.cursor() as cursor:
                explain = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}"
                cursor.execute(explain, params[0] if many else params, prepare=False)
                plan = cursor.fetchone()[0][0]["Plan"]
            self.offences += [Offence(why, _shortened(sql)) for why in self._too_much(plan)]
        return execute(sql, params, many, context)

    def _too_much(self, plan: dict[str, Any]) -> Iterator[str]:
        pages = plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0)
        if pages > MOST_PAGES:
            yield f"touches {pages} pages"
        for node in scans(plan):
            read = rows_read(node)
            table = node.get("Relation Name", "")
            if node["Node Type"] == "Seq Scan" and table in self.big_tables and node["Actual Loops"]:
                yield f"Seq Scan of {table}"
            elif read > self._most_rows:
                yield f"{node['Node Type']} {node.get('Index Name', '')} of {table} reads {read:.0f} rows"


@contextmanager
def recorder() -> Iterator[Recorder]:
    """A recorder for all connections of this process."""
    made = Recorder(_big_tables())
    made.watch(connection)
    connection_created.connect(made.watch)
    yield made
    connection_created.disconnect(made.watch)
    connection.execute_wrappers.clear()


def rows_read(node: dict[str, Any]) -> float:
    """How many rows this node read, those included that a filter removed."""
    removed = sum(value for key, value in node.items() if key.startswith("Rows Removed by"))
    return (node["Actual Rows"] + removed) * node["Actual Loops"]


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read a table or an index."""
    if plan["Node Type"] in _SCANS:
        yield plan
    for child in plan.get("Plans", []):
        yield from scans(child)


def _big_tables() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples >= %s", [BIG])
        return {name for (name,) in cursor}


def _shortened(sql: str) -> str:
    """The statement without its long lists of columns."""
    return re.sub(
        r"SELECT (DISTINCT )?((?:\"\w+\"\.\"\w+\", ){3}).*? FROM", r"SELECT \1\2... FROM", " ".join(sql.split())
    )
