"""Detection of a lagging event loop, and waiting for it to recover."""

import concurrent.futures

import pytest

from tests.jobs.worker import foreign
from tests.support import wait_for


def test_crowded_loop_is_late_and_recovers(loop):
    crowd = loop.submit(foreign.crowd_the_loop(0.5))
    wait_for(loop.is_late)
    crowd.result(timeout=10)
    wait_for(lambda: not loop.is_late())


def test_blocked_loop_is_late_while_it_is_still_blocked(loop):
    blocking = loop.submit(foreign.block_the_loop())
    wait_for(loop.is_late)
    assert not blocking.done()
    blocking.result(timeout=10)


def test_wait_until_on_time_returns_when_the_loop_recovers(loop):
    crowd = loop.submit(foreign.crowd_the_loop(1))
    wait_for(loop.is_late)
    waiting = loop.submit(loop.wait_until_on_time(60))
    with pytest.raises(concurrent.futures.TimeoutError):
        waiting.result(timeout=0.5)
    crowd.result(timeout=10)
    waiting.result(timeout=5)


def test_wait_until_on_time_returns_after_its_timeout(crowded):
    crowded.submit(crowded.wait_until_on_time(0.3)).result(timeout=10)
