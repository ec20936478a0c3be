"""Database work of the workers' event loop: on a bounded pool of threads, each with its own connection."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection

from config.postgres.base import is_silent
from llm import retry

P = ParamSpec("P")
T = TypeVar("T")

AWAY = (OperationalError, InterfaceError)  # what is raised while Postgres is not there
OUTAGE_SECONDS = 120.0


@functools.cache
def _threads() -> ThreadPoolExecutor:
    # asgiref's sync_to_async would put all of it on one thread.
    return ThreadPoolExecutor(settings.JOBS_DB_THREADS, thread_name_prefix="jobs-db")


async def call(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `fn` on a database thread."""
    context = contextvars.copy_context()  # what its log lines are about
    work = functools.partial(context.run, _with_connection, functools.partial(fn, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_threads(), work)


async def insist(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `call`, but ride out a Postgres that is away for a while: an answer that is paid for is not dropped."""
    return await retry.until(AWAY, OUTAGE_SECONDS, lambda: call(fn, *args, **kwargs))


def _with_connection(work: Callable[[], T]) -> T:
    """The thread keeps its connection: taking one from the pool for each piece of work costs as much as a query."""
    if connection.connection is not None and not is_silent(connection.connection):
        connection.close()
    try:
        return work()
    except Error:
        connection.close()
        raise
