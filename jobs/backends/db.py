"""Database work for an event loop: on a bounded pool of threads, each with a connection of its own."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import Error, InterfaceError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from config.postgres.base import is_silent
from llm import retry

P = ParamSpec("P")
T = TypeVar("T")

AWAY = (OperationalError, InterfaceError)  # what Django raises while Postgres cannot be reached
OUTAGE_SECONDS = 120.0


class Database:
    """Runs synchronous functions that use the database, called from an event loop.

    asgiref's sync_to_async would run all of them on one thread.
    """

    def __init__(self, threads: int) -> None:
        self._connections: list[BaseDatabaseWrapper] = []  # of the threads
        self._threads = ThreadPoolExecutor(threads, "jobs-db", self._begin_thread)

    async def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` on a database thread, in a copy of the caller's context."""
        context = contextvars.copy_context()
        work = functools.partial(context.run, _with_connection, functools.partial(fn, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def insist(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `call`, but retry for OUTAGE_SECONDS while Postgres is away: a paid answer is not dropped."""
        return await retry.until(AWAY, OUTAGE_SECONDS, lambda: self.call(fn, *args, **kwargs))

    async def close(self) -> None:
        """End the threads, after the work that has begun, and close their connections."""
        await asyncio.to_thread(self._end_threads)

    def _begin_thread(self) -> None:
        self._connections.append(connections[connection.alias])

    def _end_threads(self) -> None:
        self._threads.shutdown()
        for each in self._connections:
            each.inc_thread_sharing()  # closed here, by another thread than its own
            each.close()


def _with_connection(work: Callable[[], T]) -> T:
    """Run `work` on the thread's own connection: taking one from the pool each time costs as much as a query."""
    if connection.connection is not None and not is_silent(connection.connection):
        connection.close()
    try:
        return work()
    except Error:
        connection.close()
        raise
