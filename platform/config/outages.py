"""What is wrong with a Postgres or Redis that cannot be used, in one line that names the setting and no password."""

from __future__ import annotations

import logging
import re
import threading
import time

import psycopg
import redis
from django.conf import settings
from django.db import Error, connection

logger = logging.getLogger(__name__)

# Answers of Redis to a connection that it does not want; with these, no command works.
REFUSALS = ("DB index", "invalid DB index", "NOAUTH", "WRONGPASS", "NOPERM", "MASTERAUTH")
CONNECTING = re.compile(r"connection failed: (connection to server .* failed: )?")  # libpq repeats the address
REPEAT_SECONDS = 10.0


def describe(error: BaseException) -> str | None:
    """One line about this exception, or None if it is not about reaching Postgres or Redis."""
    cause = error.__cause__ if isinstance(error, Error) else error
    # Errors of the server about a statement, such as a deadlock, have an SQLSTATE; those of the connection have none.
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return _line(postgres_address(), cause)
    is_refused = isinstance(error, redis.ResponseError) and str(error).startswith(REFUSALS)
    if isinstance(error, redis.ConnectionError | redis.TimeoutError) or is_refused:
        return _line(redis_address(), error)
    return None


def unreachable() -> list[str]:
    """Connect to Postgres and to Redis; one line for each that does not let us in. Takes up to a few seconds."""
    return [line for line in (postgres_outage(), redis_outage()) if line]


def postgres_outage() -> str | None:
    """Connect to Postgres; one line if it does not let us in."""
    try:
        psycopg.connect(**connection.get_connection_params()).close()
    except psycopg.Error as error:
        return _line(postgres_address(), error)
    return None


def redis_outage() -> str | None:
    """Connect to Redis; one line if it does not let us in."""
    seconds = settings.REDIS_TIMEOUT
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=seconds, socket_connect_timeout=seconds) as client:
            client.ping()
    except redis.RedisError as error:
        return _line(redis_address(), error)
    return None


def log_unreachable() -> None:
    """Log what cannot be reached, from a thread of its own: a web server starts without Postgres and Redis."""

    def look() -> None:
        for line in unreachable():
            logger.error(line)

    threading.Thread(target=look, name="outages", daemon=True).start()


def postgres_address() -> str:
    """The setting and the address, without the password."""
    database = connection.settings_dict
    port = f":{database['PORT']}" if database["PORT"] else ""
    return f"Postgres (DATABASE_URL) at {database['HOST']}{port}/{database['NAME']}"


def redis_address() -> str:
    """The setting and the address, without the password."""
    parts = redis.connection.parse_url(settings.REDIS_URL)
    where = parts.get("path") or f"{parts.get('host', 'localhost')}:{parts.get('port', 6379)}"
    return f"Redis (REDIS_URL) at {where}, database {parts.get('db', 0)}"


class PoolLines(logging.Filter):
    """Makes one line about Postgres of what psycopg's pool logs after each try, at most every REPEAT_SECONDS."""

    _quiet_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith("reconnection attempt"):
            return False  # the lines before it say why
        error = next((arg for arg in record.args or () if isinstance(arg, psycopg.OperationalError)), None)
        if error is None:
            return True
        record.msg, record.args = _line(postgres_address(), error), ()
        if time.monotonic() < self._quiet_until:
            return False
        self._quiet_until = time.monotonic() + REPEAT_SECONDS
        return True


def _line(address: str, error: BaseException) -> str:
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return f"{address}: {CONNECTING.sub('', first)}"
