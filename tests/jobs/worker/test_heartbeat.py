"""Which workers operators and /readyz see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rq import Worker

from config import health
from jobs.backends import queues
from jobs.worker.heartbeat import ALIVE_SECONDS
from jobs.worker.rq_worker import AsyncWorker


@pytest.fixture
def registered() -> Iterator[AsyncWorker]:
    worker = AsyncWorker(["interactive"], connection=queues.connection())
    worker.register_birth()
    worker.heartbeat()
    yield worker
    worker.register_death()


def names() -> set[str]:
    return {worker.name for worker in Worker.all(connection=queues.connection())}


def test_a_worker_is_seen_again_after_redis_was_emptied(registered: AsyncWorker):
    queues.connection().flushall()
    assert registered.name not in names()
    registered.ensure_registered()
    assert registered.name in names()
    assert Worker.find_by_key(registered.key, queues.connection()).queue_names() == ["interactive"]


def test_a_worker_that_signs_off_does_not_come_back(registered: AsyncWorker):
    registered.teardown()
    registered.ensure_registered()
    assert registered.name not in names()


def test_a_dead_worker_does_not_count_as_ready(registered: AsyncWorker):
    queues.connection().flushall()
    registered.register_birth()
    registered.heartbeat()
    assert health.worker()
    assert queues.connection().ttl(registered.key) <= ALIVE_SECONDS
    queues.connection().delete(registered.key)  # as Redis does when no heartbeat comes
    assert not health.worker()
