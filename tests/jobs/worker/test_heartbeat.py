"""Worker registration as operators and /readyz see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rq import Worker

from jobs.backends import connections
from jobs.monitoring import checks
from jobs.worker.heartbeat import ALIVE_SECONDS
from jobs.worker.rq_worker import AsyncWorker


@pytest.fixture
def registered() -> Iterator[AsyncWorker]:
    worker = AsyncWorker(["interactive"], connection=connections.redis())
    worker.register_birth()
    worker.heartbeat()
    yield worker
    worker.register_death()


def names() -> set[str]:
    return {worker.name for worker in Worker.all(connection=connections.redis())}


def test_worker_registers_again_after_redis_was_flushed(registered: AsyncWorker):
    connections.redis().flushall()
    assert registered.name not in names()
    registered.ensure_registered()
    assert registered.name in names()
    assert Worker.find_by_key(registered.key, connections.redis()).queue_names() == ["interactive"]


def test_deregistered_worker_does_not_register_again(registered: AsyncWorker):
    registered.teardown()
    registered.ensure_registered()
    assert registered.name not in names()


def test_a_dead_worker_does_not_count_as_ready(registered: AsyncWorker):
    connections.redis().flushall()
    registered.register_birth()
    registered.heartbeat()
    assert checks.has_workers()
    assert connections.redis().ttl(registered.key) <= ALIVE_SECONDS
    connections.redis().delete(registered.key)  # as Redis does without heartbeats
    assert not checks.has_workers()
