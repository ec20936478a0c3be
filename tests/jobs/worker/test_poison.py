"""A job that kills worker processes is failed, and only delays the jobs that ran beside it."""

import signal

import pytest

from accounts import people
from jobs.models import AiJob
from jobs.submission import Submission, submit_once
from jobs.submission import submit as submit_one
from tests.jobs.worker import poison
from tests.support import Platform, ask, wait_for

WORKER = ("--worker-class", "tests.jobs.worker.poison.Worker")


@pytest.fixture
def submit(learner):
    """Submits the poisonous job; in these attempts it kills only once another job runs beside it."""

    def submit(*beside: int) -> AiJob:
        submission = Submission(people.from_user(learner))
        payload = {"beside": beside}
        return submit_once(submission, lambda: submit_one(submission, poison.POISON, payload))

    return submit


def look(job_id) -> AiJob:
    return AiJob.objects.get(pk=job_id)


def lose_worker(platform: Platform) -> None:
    """Start a worker and wait until it has been killed."""
    with platform.worker(*WORKER) as process:
        assert process.wait(20) == -signal.SIGKILL


def settle(platform: Platform, simulator, killer, innocent) -> None:
    """The next worker survives: the poisonous job has failed, the other is answered once."""
    simulator.set(token_interval=0.002)
    with platform.worker(*WORKER) as process:
        wait_for(lambda: look(innocent).status == "completed" and look(killer).status == "failed", 20)
        assert process.poll() is None
    assert look(innocent).messages.filter(role="assistant").count() == 1


def test_job_that_kills_two_workers_fails_and_the_concurrent_one_completes(
    platform: Platform, api, sql_course, simulator, submit
):
    simulator.set(token_interval=0.1)
    killer = submit(2).pk
    lose_worker(platform)
    innocent = ask(api, sql_course)["jobId"]
    lose_worker(platform)
    settle(platform, simulator, killer, innocent)
    assert (look(killer).error_code, look(killer).attempt, look(killer).crashes) == ("poisonous", 2, 2)
    assert (look(innocent).attempt, look(innocent).crashes) == (2, 1)


def test_poisonous_job_is_found_among_two_that_lost_the_same_workers(
    platform: Platform, api, sql_course, simulator, submit
):
    simulator.set(token_interval=0.1)
    killer, innocent = submit(1, 2).pk, ask(api, sql_course)["jobId"]
    lose_worker(platform)
    lose_worker(platform)
    lose_worker(platform)
    settle(platform, simulator, killer, innocent)
    assert (look(killer).error_code, look(killer).attempt, look(killer).crashes) == ("poisonous", 3, 3)
    assert (look(innocent).attempt, look(innocent).crashes) == (3, 2)
