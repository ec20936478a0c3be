"""A worker's slots: no queue takes them all from higher queues, and none is starved."""

from concurrent.futures import Future

import pytest

from jobs.worker.slots import LOWEST_EVERY, Slots

QUEUES = ["interactive", "default", "background"]


def filled(slots, *queues):
    jobs = []
    for queue in queues:
        assert slots.acquire(timeout=0)
        jobs.append(Future())
        slots.fill(jobs[-1], queue)
    return jobs


def test_all_queues_are_open_while_nothing_is_in_flight():
    slots = Slots(8, QUEUES)
    assert slots.open_queues() == slots.queues_in_turn() == QUEUES


def test_lowest_queue_gets_at_most_half_of_the_slots():
    slots = Slots(8, QUEUES)
    jobs = filled(slots, *["background"] * 4)
    assert slots.open_queues() == ["interactive", "default"]
    jobs[0].set_result(None)
    assert slots.open_queues() == QUEUES


def test_last_slots_are_reserved_for_the_first_queue():
    slots = Slots(8, QUEUES)
    filled(slots, *["background"] * 3, *["default"] * 3)
    assert slots.open_queues() == ["interactive", "background"]
    filled(slots, "background")
    assert slots.open_queues() == ["interactive"]


def test_first_queue_may_use_all_slots():
    slots = Slots(8, QUEUES)
    filled(slots, *["interactive"] * 7)
    assert "interactive" in slots.open_queues()
    filled(slots, "interactive")
    assert not slots.acquire(timeout=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_small_number_of_slots_is_open_to_every_queue(count):
    assert Slots(count, QUEUES).open_queues() == QUEUES


def test_worker_of_one_queue_uses_all_slots():
    slots = Slots(4, ["background"])
    filled(slots, *["background"] * 3)
    assert slots.open_queues() == ["background"]


def test_lowest_queue_comes_first_at_regular_intervals():
    slots = Slots(100, QUEUES)
    orders = []
    for _ in range(2 * LOWEST_EVERY):
        orders.append(slots.queues_in_turn())
        for job in filled(slots, "interactive"):
            job.set_result(None)
    assert orders.count(QUEUES[::-1]) == 2
    assert orders[LOWEST_EVERY - 1] == orders[2 * LOWEST_EVERY - 1] == QUEUES[::-1]
