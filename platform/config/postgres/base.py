from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base
from psycopg import Connection
from psycopg_pool import ConnectionPool


class DatabaseWrapper(base.DatabaseWrapper):
    @property
    def pool(self) -> ConnectionPool[Any] | None:
        """The pool of this process. When it finds one dead connection, it checks all the others at once.

        By default psycopg finds dead connections one by one, with growing pauses. With a dozen of them, every request
        after a restart of Postgres waits until it times out.
        """
        pool: ConnectionPool[Any] | None = super().pool
        if pool is not None and pool._check is ConnectionPool.check_connection:
            pool._check = lambda connection: _check(pool, connection)
        return pool


def is_silent(connection: Connection[Any]) -> bool:
    """Return whether an idle connection has no unread input. A server that shuts down sends a message or closes it.

    This takes microseconds instead of a round trip to the server. Only valid while nobody uses the connection.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def _check(pool: ConnectionPool[Any], connection: Connection[Any]) -> None:
    if is_silent(connection):
        return
    try:
        ConnectionPool.check_connection(connection)
    except Exception:
        pool.check()
        raise
