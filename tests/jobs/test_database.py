"""The database threads of an event loop: each keeps its connection for as long as Postgres does."""

import asyncio

from django.db import connection

from jobs import database


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
    # With a time to wait, Postgres answers when they have ended, not when they have been told to.
    ended = rows("SELECT bool_and(pg_terminate_backend(pid, 15000)) FROM unnest(%s) AS pid", list(before))
    assert ended == [(True,)]
    assert not before & await connections_of_threads()


async def test_threads_keep_their_connections(learner):
    before = await connections_of_threads()
    assert await connections_of_threads() <= before
