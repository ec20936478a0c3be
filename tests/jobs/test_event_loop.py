"""Nothing on the worker's event loop waits for anything but the event loop: asyncio's own debug mode watches."""

import os
import re
from pathlib import Path

import django_rq
from rq.results import Result

from jobs.models import AiJob
from tests.jobs import foreign
from tests.support import ask, wait_for

ANSWERS = 30
ROUNDS = 8


class Log:
    """What workers have logged since this was made."""

    def __init__(self):
        self._path = Path(os.environ["DEV_DATA"]) / "logs" / "rqworker.log"
        self._begin = self._path.stat().st_size if self._path.exists() else 0

    @property
    def text(self):
        return self._path.read_bytes()[self._begin :].decode()

    @property
    def slow_steps(self):
        """What held the event loop for more than 0.1 s: coroutines and where they went on waiting."""
        steps = re.findall(r"Executing (.+) took \d+\.\d+ seconds", self.text)
        return {re.sub(r".*coro=<(.+? at .+?)>.*", r"\1", step) for step in steps}


def answer_many(api, course, count=ANSWERS):
    jobs = [ask(api, course)["jobId"] for _ in range(count)]
    wait_for(lambda: AiJob.objects.filter(pk__in=jobs, status="completed").count() == count, 30)


def one_round(api, course):
    log = Log()
    answer_many(api, course)
    return log.slow_steps


def test_nothing_synchronous_runs_on_the_event_loop(platform, api, sql_course, simulator):
    simulator.set(first_token=0.3, token_interval=0.02, answer_tokens=20)
    all_of_it = Log()
    with platform.worker(PYTHONASYNCIODEBUG="1"):
        answer_many(api, sql_course, 1)  # imports and first connections
        suspects = one_round(api, sql_course)
        for _ in range(ROUNDS):
            if suspects:  # What blocks does so in every round; a machine that is busy hits one step or another.
                suspects &= one_round(api, sql_course)

        log = Log()  # Is anybody watching at all?
        blocking = django_rq.get_queue("background").enqueue(foreign.block_the_loop)
        wait_for(lambda: Result.fetch_latest(blocking))
        wait_for(lambda: log.slow_steps)
    assert not suspects
    assert "SynchronousOnlyOperation" not in all_of_it.text
