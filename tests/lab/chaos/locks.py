"""Locks on the jobs' table that somebody else holds, as `CREATE INDEX`, `ALTER TABLE` or a forgotten session does."""

from __future__ import annotations

import os
import time

import psycopg

CONNECT_SECONDS = 10.0  # for a server that was restarted just now
STATEMENTS = {
    "share": "LOCK TABLE jobs_aijob IN SHARE MODE",
    "access exclusive": "LOCK TABLE jobs_aijob IN ACCESS EXCLUSIVE MODE",
    "row": "SELECT id FROM jobs_aijob WHERE status = 'running' ORDER BY started_at DESC LIMIT 1 FOR UPDATE",
}


def hold(kind: str, seconds: float) -> None:
    """Hold this lock for so many seconds. Blocks."""
    with _connected() as connection, connection.cursor() as cursor:
        deadline = time.monotonic() + CONNECT_SECONDS
        cursor.execute(STATEMENTS[kind].encode())
        while kind == "row" and cursor.fetchone() is None and time.monotonic() < deadline:  # no job is running
            connection.rollback()
            time.sleep(0.1)
            cursor.execute(STATEMENTS[kind].encode())
        time.sleep(seconds)
        connection.rollback()


def _connected() -> psycopg.Connection:
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return psycopg.connect(os.environ["DATABASE_URL"])
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
