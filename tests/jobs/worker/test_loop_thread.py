"""How late an event loop is, and waiting until it is not."""

import concurrent.futures

import pytest

from tests.jobs.worker import foreign
from tests.support import wait_for


def test_a_crowded_loop_is_late_and_recovers(loop):
    crowd = loop.submit(foreign.crowd_the_loop(0.5))
    wait_for(loop.is_late)
    crowd.result(timeout=10)
    wait_for(lambda: not loop.is_late())


def test_a_blocked_loop_is_late_before_its_next_turn(loop):
    blocking = loop.submit(foreign.block_the_loop())
    wait_for(loop.is_late)
    assert not blocking.done()
    blocking.result(timeout=10)


def test_work_that_can_wait_waits_until_the_loop_is_on_time(loop):
    crowd = loop.submit(foreign.crowd_the_loop(1))
    wait_for(loop.is_late)
    waiting = loop.submit(loop.wait_until_on_time(60))
    with pytest.raises(concurrent.futures.TimeoutError):
        waiting.result(timeout=0.5)
    crowd.result(timeout=10)
    waiting.result(timeout=5)


def test_but_not_for_ever(crowded):
    crowded.submit(crowded.wait_until_on_time(0.3)).result(timeout=10)
