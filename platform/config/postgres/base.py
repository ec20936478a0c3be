from __future__ import annotations

import select
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


def is_silent(connection: Connection[Any]) -> bool:
    """Whether the server has said nothing unasked. One that goes away says so, or hangs up: both can be heard here.

    This costs microseconds, and asking the server a round trip. Only for a connection that is not being used.
    """
    if connection.closed:
        return False
    heard = select.poll()
    heard.register(connection.fileno(), select.POLLIN)
    return not heard.poll(0)


def _check(pool: ConnectionPool[Any], connection: Connection[Any]) -> None:
    if is_silent(connection):
        return
    try:
        ConnectionPool.check_connection(connection)
    except Exception:
        pool.check()
        raise
