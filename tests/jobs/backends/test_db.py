"""Connections to Postgres: threads keep them while Postgres does, and frequent statements are prepared."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from jobs.backends.db import Database
from jobs.lifecycle import transitions
from tests.support import database


def rows(sql: str, *values: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


async def connections_of_threads() -> set[int]:
    """The ids of the Postgres backends that serve the database threads."""
    each = await asyncio.gather(*(database.call(rows, "SELECT pg_backend_pid(), pg_sleep(0.02)") for _ in range(40)))
    return {pid for [(pid, _)] in each}


async def test_connections_closed_by_postgres_are_not_used_again(learner):
    before = await connections_of_threads()
    # With a timeout, Postgres replies when the backends have ended, not when they were signalled.
    ended = rows("SELECT bool_and(pg_terminate_backend(pid, 15000)) FROM unnest(%s) AS pid", list(before))
    assert ended == [(True,)]
    assert not before & await connections_of_threads()


async def test_threads_keep_their_connections(learner):
    before = await connections_of_threads()
    assert await connections_of_threads() <= before


def borrowed() -> int:
    """The number of connections taken from the pool of this process."""
    stats = connection.pool.get_stats()
    return stats["pool_size"] - stats["pool_available"]


async def test_closing_returns_the_threads_connections_to_the_pool(learner):
    before, own = borrowed(), Database(threads=4)
    await asyncio.gather(*(own.call(rows, "SELECT pg_sleep(0.05)") for _ in range(8)))
    assert borrowed() == before + 4
    await own.close()
    assert borrowed() == before


def test_tcp_timeout_for_an_unreachable_server_is_ten_seconds(learner):
    rows("SELECT 1")
    assert connection.connection.info.get_parameters()["tcp_user_timeout"] == "10000"


def test_column_added_by_a_migration_does_not_break_running_workers(engine):
    for _ in range(7):
        assert transitions.claim(engine.submit().pk, "w")
    assert rows("SELECT bool_or(statement ~ 'UPDATE jobs_aijob') FROM pg_prepared_statements") == [(True,)]
    with ThreadPoolExecutor(1) as migration:
        migration.submit(alter, "ADD COLUMN of_a_newer_version int").result()
        try:
            assert transitions.claim(engine.submit().pk, "w")
        finally:
            migration.submit(alter, "DROP COLUMN of_a_newer_version").result()


def alter(change: str) -> None:
    """Alter the table over a separate connection, as `manage.py migrate` does while workers run."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE jobs_aijob {change}")
    connection.close()
