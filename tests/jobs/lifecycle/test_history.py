"""The history of attempts in a job's row."""

import contextlib
from datetime import timedelta

from django.utils import timezone

from jobs.lifecycle import history, transitions
from jobs.lifecycle.transitions import Failure
from jobs.models import AiJob
from tests.support import take_back_lost

BUSY = Failure("upstream_busy", "Busy.", "HTTP 429", retryable=True)


def claim(job: AiJob) -> AiJob:
    run = transitions.claim(job.pk, "w")
    assert run
    return run


def fresh(job: AiJob) -> AiJob:
    return AiJob.objects.get(pk=job.pk)


def back_in_time(job: AiJob, **ago: float) -> AiJob:
    """The row with these timestamps, given in seconds before now."""
    times = {name: timezone.now() - timedelta(seconds=seconds) for name, seconds in ago.items()}
    AiJob.objects.filter(pk=job.pk).update(**times)
    return fresh(job)


def test_every_transition_adds_an_entry_in_order(engine):
    job = engine.submit()
    transitions.defer(claim(job), BUSY, timedelta())
    transitions.release(claim(job))
    back_in_time(claim(job), lease_until=1)
    take_back_lost()
    transitions.fail(claim(job), Failure("upstream_quota", "No.", "no credit"))
    transitions.retry(job)
    transitions.request_cancel(job)
    entries = fresh(job).history
    assert [(entry["attempt"], entry["outcome"], entry.get("code")) for entry in entries] == [
        (1, "deferred", "upstream_busy"),
        (2, "released", None),
        (3, "lost", None),
        (4, "failed", "upstream_quota"),
        (4, "retried", None),
        (4, "cancelled", None),
    ]
    assert [entry.get("detail") for entry in entries] == ["HTTP 429", None, None, "no credit", None, None]
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    assert ["ran" in entry for entry in entries] == [True] * 4 + [False] * 2


def test_second_lost_worker_fails_the_job_with_a_reason(engine):
    job = engine.submit()
    for _ in range(2):
        back_in_time(claim(job), lease_until=1)
        take_back_lost()
    assert [(entry["outcome"], entry.get("code")) for entry in fresh(job).history] == [
        ("lost", None),
        ("failed", "poisonous"),
    ]


def test_overtaken_run_adds_no_entry(engine):
    late = claim(engine.submit())
    transitions.release(late)
    with contextlib.suppress(transitions.LostRun):
        transitions.release(late)
    assert len(fresh(late).history) == 1


def test_the_newest_entries_are_kept(engine):
    job = engine.submit()
    for _ in range(history.LENGTH + 5):
        transitions.release(claim(job))
    attempts = [entry["attempt"] for entry in fresh(job).history]
    assert attempts == list(range(6, history.LENGTH + 6))


def test_long_detail_is_cut(engine):
    job = engine.submit()
    transitions.fail(claim(job), Failure("internal", "No.", "x" * 5000))
    assert len(fresh(job).history[0]["detail"]) == history.DETAIL_LENGTH


def test_wait_and_run_times_are_summed_over_attempts(engine):
    job = back_in_time(engine.submit(), run_after=5)
    assert 5 <= history.waited(job) < 6
    run = back_in_time(claim(job), run_after=5, started_at=3)
    assert (round(history.waited(run)), round(history.ran(run))) == (2, 3)
    transitions.defer(run, BUSY, timedelta(hours=1))
    put_off = fresh(job)
    assert (round(history.waited(put_off)), round(history.ran(put_off))) == (2, 3), "being put off is not waiting"
    run = back_in_time(claim(back_in_time(job, run_after=1)), run_after=11, started_at=10)
    transitions.complete(run, {"answer": ""}, lambda job, result: None)
    assert (round(history.waited(fresh(job))), round(history.ran(fresh(job)))) == (3, 13)


def test_clock_skew_gives_no_negative_times(engine):
    run = back_in_time(claim(engine.submit()), run_after=-60)
    transitions.release(run)
    assert fresh(run).history[0]["waited"] == 0
