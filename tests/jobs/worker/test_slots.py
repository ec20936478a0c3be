"""A worker's slots: none of its queues takes them all from those above it, and none is starved."""

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


def test_the_lowest_queue_gets_half_of_the_slots():
    slots = Slots(8, QUEUES)
    jobs = filled(slots, *["background"] * 4)
    assert slots.open_queues() == ["interactive", "default"]
    jobs[0].set_result(None)
    assert slots.open_queues() == QUEUES


def test_those_between_leave_room_for_the_first_whoever_of_them_has_the_slots():
    slots = Slots(8, QUEUES)
    filled(slots, *["background"] * 3, *["default"] * 3)
    assert slots.open_queues() == ["interactive", "background"]
    filled(slots, "background")
    assert slots.open_queues() == ["interactive"]


def test_the_first_queue_may_take_all_of_them():
    slots = Slots(8, QUEUES)
    filled(slots, *["interactive"] * 7)
    assert "interactive" in slots.open_queues()
    filled(slots, "interactive")
    assert not slots.acquire(timeout=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_slots_are_open_to_every_queue(count):
    assert Slots(count, QUEUES).open_queues() == QUEUES


def test_a_worker_of_one_queue_has_all_slots_for_it():
    slots = Slots(4, ["background"])
    filled(slots, *["background"] * 3)
    assert slots.open_queues() == ["background"]


def test_every_so_many_jobs_the_lowest_comes_first():
    slots = Slots(100, QUEUES)
    orders = []
    for _ in range(2 * LOWEST_EVERY):
        orders.append(slots.queues_in_turn())
        for job in filled(slots, "interactive"):
            job.set_result(None)
    assert orders.count(QUEUES[::-1]) == 2
    assert orders[LOWEST_EVERY - 1] == orders[2 * LOWEST_EVERY - 1] == QUEUES[::-1]
