"""/healthz and /readyz, as load balancers call them."""

import json

import pytest
from django.db import OperationalError, connection
from django.test import RequestFactory

from config import health
from jobs.backends import connections
from tests.support import Platform, wait_for


def get(path="/readyz"):
    return health.PAGES[path](RequestFactory().get(path))


@pytest.fixture
def empty_redis(settings):
    """Redis without registered workers."""
    settings.REDIS_URL = settings.REDIS_URL.rpartition("/")[0] + "/15"
    connections.redis.cache_clear()
    yield connections.redis()
    connections.redis().flushdb()
    connections.redis.cache_clear()


def is_ready(response):
    """The response, once it is 200: a worker has just started, and its first sweep may not be over."""
    return response if response.status_code == 200 else None


def failing(response):
    return {name for name, ok in json.loads(response.content)["checks"].items() if not ok}


def test_alive_depends_on_nothing(platform: Platform, anonymous):
    response = anonymous.get("/healthz", headers={"Host": "10.0.0.7"})
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_with_a_worker_under_any_host_name(platform: Platform, anonymous):
    """Health checks use the host's address instead of its name."""
    with platform.worker():
        response = wait_for(lambda: is_ready(anonymous.get("/readyz", headers={"Host": "10.0.0.7"})))
    checks = {"database": True, "migrations": True, "redis": True, "worker": True, "sweeper": True}
    answer = response.json()
    assert (response.status_code, answer["status"], answer["checks"]) == (200, "ok", checks)
    assert answer["sweepAgeSeconds"] < 60


def test_not_ready_without_a_worker(empty_redis):
    response = get()
    assert (response.status_code, failing(response) - {"sweeper"}) == (503, {"worker"})


def test_expired_worker_does_not_count(empty_redis):
    empty_redis.sadd("rq:workers", "rq:worker:gone")
    assert failing(get()) - {"sweeper"} == {"worker"}


def test_not_ready_without_redis(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    connections.redis.cache_clear()
    try:
        assert failing(get()) - {"sweeper"} == {"redis", "worker"}
        assert get("/healthz").status_code == 200
    finally:
        connections.redis.cache_clear()


def test_worker_entries_that_cannot_be_read_do_not_count(empty_redis):
    empty_redis.sadd("rq:workers", "rq:worker:broken", "nonsense", b"\xff\xfe", "rq:worker:text", "rq:worker:w")
    empty_redis.hset("rq:worker:broken", mapping={b"\xff": b"\xff", "pid": "many", "last_heartbeat": "yesterday"})
    empty_redis.set("rq:worker:text", "x")
    assert failing(get()) == set(), "the entry of a worker is there, whatever is in it"
    empty_redis.delete("rq:worker:broken")
    assert failing(get()) == {"worker"}
    empty_redis.hset("rq:worker:w", "birth", "2026-01-01T00:00:00Z")
    assert failing(get()) == set()
    empty_redis.delete("rq:workers")
    empty_redis.set("rq:workers", "x")
    assert failing(get()) == {"worker"}


def test_not_ready_without_postgres(monkeypatch, empty_redis):
    def refuse():
        raise OperationalError("connection refused, password=secret")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "ensure_connection", refuse)
        response = get()
    assert response.status_code == 503 and {"database", "migrations"} <= failing(response)
    assert b"secret" not in response.content


def test_not_ready_while_migrations_are_missing(empty_redis):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET name = name || 'x' WHERE app = 'conversations'")
    try:
        assert "migrations" in failing(get())
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_migrations SET name = left(name, -1) WHERE app = 'conversations'")
