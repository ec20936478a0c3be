"""`./dev chaos`: a short run that kills every target once, and that its checks detect every broken guarantee."""

import dataclasses
import os
import subprocess
import sys
from collections import Counter

import psutil
import pytest

from tests.lab.chaos import checks, plan
from tests.lab.chaos.checks import Evidence
from tests.lab.chaos.database import Job, Rows
from tests.lab.chaos.injector import Injected
from tests.lab.chaos.people import Observations, Schedule
from tests.lab.chaos.plan import Disruption
from tests.lab.chaos.upstream import Billed
from tests.lab.chaos.watch import Watch
from tests.support import ROOT, unique

RUN = "import sys, manage; from devstack.cli import main; sys.exit(main(sys.argv[1:]))"


def test_nothing_is_lost_or_doubled_while_everything_is_killed():
    arguments = ["chaos", "--questions", "40", "--people", "6", "--seconds", "15", "--seed", "223"]
    mark = unique("run")
    command, env = [sys.executable, "-c", RUN, *arguments], os.environ | {"MARK": mark}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "| killed or flushed | postgres: 1, redis: 1, web: 1, worker: 1 |" in run.stdout
    assert "40 of 40" in run.stdout
    assert not [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("MARK") == mark]


def test_seed_repeats_the_same_plan_and_every_target_is_killed():
    disruptions = plan.disruptions(3, 120)
    assert disruptions == plan.disruptions(3, 120) != plan.disruptions(4, 120)
    assert plan.upstream_changes(3, 120) == plan.upstream_changes(3, 120)
    assert {disruption.target for disruption in disruptions[:5]} == set(plan.TARGETS)
    assert all(isinstance(disruption, Disruption) and disruption.at < 120 for disruption in disruptions)
    assert {change.fault["kind"] for change in plan.upstream_changes(3, 120) if change.fault} == set(plan.FAULTS)
    assert any(change.down for change in plan.upstream_changes(3, 120))


def test_questions_are_spread_over_the_run():
    assert [Schedule(4, 20).due(number) for number in range(4)] == [0, 5, 10, 15]


def event(kind: str, attempt: int, seq: int, **more) -> dict:
    return {"type": f"job.{kind}", "attempt": attempt, "seq": seq, **more}


async def test_viewer_shows_each_piece_once_and_a_higher_attempt_replaces_the_text():
    watch = Watch()
    for item in [event("started", 1, 1), event("delta", 1, 2, text="old "), event("delta", 1, 2, text="old ")]:
        assert watch.take(item)
    assert watch.text == "old "
    assert not watch.take(event("delta", 1, 4, text="too early"))
    assert watch.take(event("started", 2, 1)) and watch.take(event("delta", 2, 2, text="new"))
    assert watch.take(event("delta", 1, 3, text="late"))
    assert watch.take(event("completed", 2, 3, answer="new"))
    assert (watch.text, watch.streamed, watch.status, watch.contradiction) == ("new", "new", "completed", "")
    assert watch.ended.is_set()


async def test_final_event_does_not_need_earlier_ones():
    watch = Watch()
    watch.take(event("completed", 3, 9, answer="whole"))
    assert (watch.text, watch.streamed) == ("whole", "")


@pytest.mark.parametrize(
    "later", [event("started", 2, 1), event("failed", 1, 3), event("completed", 1, 3, answer="another")]
)
async def test_contradiction_of_the_end_is_recorded(later):
    watch = Watch()
    watch.adopt({"status": "running", "attempt": 1})
    assert not watch.status
    watch.adopt({"status": "completed", "attempt": 1, "answer": "the answer"})
    watch.take(event("completed", 1, 2, answer="the answer"))
    assert not watch.contradiction
    watch.take(later)
    assert watch.contradiction


def evidence(**changes) -> Evidence:
    """A run of one question in which every guarantee was kept, with changes to its job, rows or billed calls."""
    watch = Watch(text="yes", status="completed", streamed="yes", attempt=1)
    job = Job("j0", 0, "completed", "", "", 1, 0, 0, 100.0, 110.0, "yes", ("yes",), 1)
    job = dataclasses.replace(job, **changes.pop("job", {}))
    watches = {"j0": dataclasses.replace(watch, **changes.pop("watch", {}))}
    billed, injected = changes.pop("billed", [Billed(0, False)]), changes.pop("injected", [])
    observations = Observations(accepted=changes.pop("accepted", {0: "j0"}), watches=watches)
    rows = dataclasses.replace(Rows([job], [0], [], 0, 0, 1, []), **changes)
    return Evidence(1, 60, observations, rows, billed, injected, Counter())


def broken(given: Evidence) -> list[str]:
    return [guarantee.what for guarantee in checks.guarantees(given) if guarantee.offenders]


def test_clean_run_breaks_no_guarantee():
    assert broken(evidence()) == []
    assert "| no orphan rows | 0 | kept |" in checks.render("a machine", evidence(), checks.guarantees(evidence()))


@pytest.mark.parametrize(
    ("changes", "guarantee"),
    [
        ({"accepted": {}}, "every question is accepted in the end"),
        ({"accepted": {0: "another"}}, "each has exactly one job"),
        ({"active": ["j0"]}, "every job has ended"),
        ({"job": {"status": "failed", "error": "internal", "saved": ()}}, "every failure is explained"),
        ({"background_failed": ["j9 internal"]}, "every failure is explained"),
        ({"job": {"saved": ("yes", "yes")}}, "a completed job has exactly one saved answer"),
        ({"job": {"saved": ()}}, "a completed job has exactly one saved answer"),
        ({"questions": [0, 0]}, "no question is saved twice"),
        ({"without_job": 1}, "no orphan rows"),
        ({"leases": 1}, "no orphan rows"),
        ({"watch": {"status": ""}}, "every viewer has learned the same end"),
        ({"watch": {"contradiction": "two ends"}}, "every viewer has learned the same end"),
        ({"watch": {"text": "yesyes"}}, "every viewer shows the saved text"),
        ({"watch": {"streamed": "yesyes"}}, "the deltas received before the end"),
        ({"billed": [Billed(0, False)] * 2}, "a job is billed at most once more"),
        (
            {"billed": [Billed(0, False)] * 3, "injected": [Injected("worker", 105.0)]},
            "a job is billed at most once more",
        ),
        ({"job": {"calls": 0}}, "the call of a completed job has an AiCall row"),
    ],
)
def test_broken_guarantee_is_named(changes, guarantee):
    assert any(what.startswith(guarantee) for what in broken(evidence(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"billed": [Billed(0, False)] * 2, "injected": [Injected("worker", 105.0)]},
        {"billed": [Billed(0, False), Billed(0, True), Billed(0, True)]},
    ],
)
def test_kill_or_broken_upstream_stream_permits_another_call(changes):
    assert broken(evidence(**changes)) == []


def test_permanent_upstream_error_permits_a_failed_job():
    declined = {"status": "failed", "error": "upstream_quota", "saved": (), "answer": ""}
    assert broken(evidence(job=declined, watch={"status": "failed"})) == []


def test_three_broken_answers_permit_a_failed_job():
    failed = {"status": "failed", "error": "upstream_unavailable", "saved": (), "answer": ""}
    for count, is_broken in ((3, False), (2, True)):
        given = evidence(job=failed, watch={"status": "failed"}, billed=[Billed(0, True)] * count)
        assert any(what.startswith("every failure is explained") for what in broken(given)) is is_broken


def test_two_killed_workers_permit_a_poisonous_job():
    lost = ((101.0, 105.0), (106.0, 110.0))
    poisonous = {"status": "failed", "error": "poisonous", "saved": (), "answer": "", "lost": lost}
    killed = [Injected("worker", 102.0), Injected("worker", 107.0)]
    assert broken(evidence(job=poisonous, watch={"status": "failed"}, injected=killed)) == []
    assert broken(evidence(job=poisonous, watch={"status": "failed"}, injected=killed[:1]))
