"""A Postgres or Redis that cannot be used is told in one line: the setting, the address, the reason, no password."""

import json
import os
import re
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.db import OperationalError

from config import outages
from tests.config.test_settings import PRODUCTION, python

NOWHERE = {
    "DATABASE_URL": "postgres://app:confidential@127.0.0.1:1/app",
    "REDIS_URL": "redis://:confidential@127.0.0.1:2/0",
}
POSTGRES = "Postgres (DATABASE_URL) at 127.0.0.1:1/app: Connection refused"
REDIS = "Redis (REDIS_URL) at 127.0.0.1:2, database 0: Error 111 connecting to 127.0.0.1:2. Connection refused."


def commands(env, tmp_path, *arguments):
    """What a management command says; asserts that it fails without a traceback or password."""
    result = python(["manage.py", *arguments], PRODUCTION | env, tmp_path)
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert "Traceback" not in said and "confidential" not in said
    return result.stderr.splitlines()


def test_worker_without_redis_ends_and_names_the_setting(tmp_path):
    assert commands(NOWHERE, tmp_path, "rqworker") == [POSTGRES, REDIS]


def test_command_without_postgres_ends_and_names_the_setting(tmp_path):
    here = {"REDIS_URL": os.environ["REDIS_URL"]}
    *pool, last = commands(NOWHERE | here, tmp_path, "migrate")
    assert last == POSTGRES
    assert [json.loads(line)["message"] for line in pool] in ([POSTGRES], [POSTGRES] * 2)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda url: re.sub(r"/\d+$", "/99", url), "DB index is out of range"),
        (lambda url: url.replace("redis://", "redis://nobody:confidential@"), "invalid username-password pair"),
        (lambda url: url.replace("redis://", "rediss://"), "Timeout"),
    ],
)
def test_redis_that_refuses_the_connection_is_named_with_its_reason(change, expected, tmp_path):
    url = change(os.environ["REDIS_URL"])
    (line,) = commands({"DATABASE_URL": os.environ["DATABASE_URL"], "REDIS_URL": url}, tmp_path, "rqworker")
    assert line.startswith(f"Redis (REDIS_URL) at 127.0.0.1:{urlsplit(url).port}, database ") and expected in line


def test_postgres_that_refuses_the_connection_is_named_with_its_reason(tmp_path):
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path="/absent").geturl()
    *_, last = commands({"DATABASE_URL": url, "REDIS_URL": os.environ["REDIS_URL"]}, tmp_path, "migrate")
    assert re.fullmatch(r'Postgres \(DATABASE_URL\) at .+/absent: FATAL:  database "absent" does not exist', last)


STARTED = """
import manage, config.asgi, threading
for thread in threading.enumerate():
    if thread.name == "outages":
        thread.join()
"""


def test_web_server_starts_without_both_and_says_so(tmp_path):
    result = python(["-c", STARTED], PRODUCTION | NOWHERE, tmp_path)
    lines = [json.loads(line)["message"] for line in result.stderr.splitlines() if line.startswith("{")]
    assert lines == [POSTGRES, REDIS]


LOGGED = """
import manage, django, logging; django.setup()
from jobs.backends import connections
for use in (connections.redis().ping, lambda: connections.redis().execute_command("WRONG")):
    try:
        use()
    except Exception:
        logging.getLogger("test").exception("it failed")
"""


def test_logged_exception_of_an_outage_is_a_line_and_any_other_a_traceback(tmp_path):
    result = python(["-c", LOGGED], PRODUCTION | NOWHERE, tmp_path)
    assert {json.loads(line)["exception"] for line in result.stderr.splitlines()} == {REDIS}
    here = {"REDIS_URL": os.environ["REDIS_URL"]}
    (line,) = python(["-c", LOGGED], PRODUCTION | NOWHERE | here, tmp_path).stderr.splitlines()
    assert "Traceback" in json.loads(line)["exception"]


def test_errors_of_a_statement_are_no_outage(_database):
    with pytest.raises(OperationalError) as caught, psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        try:
            connection.execute("SET statement_timeout = 1; SELECT pg_sleep(1)")
        except psycopg.errors.QueryCanceled as error:
            raise OperationalError("canceled") from error
    assert outages.describe(caught.value) is None
    assert outages.describe(redis.ResponseError("WRONGTYPE Operation against a key")) is None
    assert outages.describe(ValueError("x")) is None
