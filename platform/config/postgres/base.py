from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    @property
    def pool(self) -> ConnectionPool[Any] | None:
        """The pool of this process. After one dead connection it looks at all the others too.

        psycopg's own way is to meet them one by one, with growing pauses: with a dozen of them every request after a
        restart of Postgres waits until it gives up.
        """
        pool: ConnectionPool[Any] | None = super().pool
        if pool is not None and pool._check is ConnectionPool.check_connection:
            pool._check = lambda connection: _check(pool, connection)
        return pool


def _check(pool: ConnectionPool[Any], connection: Connection[Any]) -> None:
    try:
        ConnectionPool.check_connection(connection)
    except Exception:
        pool.check()
        raise
