"""Event loop threads, idle and crowded."""

import pytest

from jobs.worker.loop_thread import LoopThread
from tests.jobs.worker import foreign
from tests.support import wait_for


@pytest.fixture
def loop():
    async def nothing():
        pass

    thread = LoopThread(at_end=nothing)
    thread.start()
    wait_for(lambda: not thread.is_late())
    yield thread
    thread.stop(timeout=5)


@pytest.fixture
def crowded(loop):
    task = loop.submit(foreign.crowd_the_loop(60))
    wait_for(loop.is_late)
    yield loop
    task.cancel()
