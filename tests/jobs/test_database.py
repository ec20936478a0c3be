"""The database threads of an event loop: each keeps its connection for as long as Postgres does."""

import asyncio

from django.db import connection

from jobs import database
from tests.support import eventually


def rows(sql: str, *values: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


async def connections_of_threads() -> set[int]:
    """The process ids of Postgres that serve them."""
    each = await asyncio.gather(*(database.call(rows, "SELECT pg_backend_pid(), pg_sleep(0.02)") for _ in range(40)))
    return {pid for [(pid, _)] in each}


async def test_connections_that_postgres_has_closed_are_never_met(learner):
    before = await connections_of_threads()
    rows("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", list(before))
    await eventually(lambda: not rows("SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s)", list(before)))
    assert not before & await connections_of_threads()


async def test_threads_keep_their_connections(learner):
    before = await connections_of_threads()
    assert await connections_of_threads() <= before
