"""`./dev chaos`: a short run that kills every target once, and that its checks detect every broken guarantee."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import psutil
import pytest

from tests.lab.chaos import checks, plan
from tests.lab.chaos.checks import Evidence
from tests.lab.chaos.database import Job, Other, Rows
from tests.lab.chaos.health import Health
from tests.lab.chaos.injector import CLOCK, Injected
from tests.lab.chaos.people import Observations, Schedule
from tests.lab.chaos.plan import Disruption
from tests.lab.chaos.upstream import Billed
from tests.lab.chaos.watch import Watch
from tests.support import ROOT, unique

HEALTHY = Health(ready=200, metrics=200, swept=1.0, counted=1, is_reported=True)
RUN = "import sys, manage; from devstack.cli import main; sys.exit(main(sys.argv[1:]))"


def test_nothing_is_lost_or_doubled_while_everything_is_killed():
    arguments = ["chaos", "--questions", "40", "--people", "6", "--seconds", "15", "--seed", "213"]
    mark = unique("run")
    command, env = [sys.executable, "-c", RUN, *arguments], os.environ | {"MARK": mark}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"\| disrupted \| \w+: 1", run.stdout)
    assert "40 of 40" in run.stdout
    assert not [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("MARK") == mark]


def test_seed_repeats_the_same_plan_and_every_target_is_killed():
    disruptions = plan.disruptions(3, 120)
    assert disruptions == plan.disruptions(3, 120) != plan.disruptions(4, 120)
    assert plan.upstream_changes(3, 120) == plan.upstream_changes(3, 120)
    assert all(isinstance(disruption, Disruption) and disruption.at < 120 for disruption in disruptions)
    assert plan.clocks(3, 2) == plan.clocks(3, 2)
    assert len({plan.clocks(seed, 2) for seed in range(100)}) == 8, "each worker, with and without the web process"
    assert {change.fault["kind"] for change in plan.upstream_changes(3, 120) if change.fault} == set(plan.FAULTS)
    assert any(change.down for change in plan.upstream_changes(3, 120))


@pytest.mark.parametrize("seed", range(20))
def test_first_round_has_every_disruption_and_long_ones_stand_alone(seed):
    seconds = plan.round_seconds(seed)
    first = plan.disruptions(seed, seconds)
    assert sorted(each.target for each in first) == sorted(plan.TARGETS)
    assert all(a.at + plan.BETWEEN[0] + (a.seconds if a.target in plan.LONG else 0) <= b.at for a, b in pairwise(first))
    later = plan.disruptions(seed, 4 * seconds)
    for target, details in plan.DETAILS.items():
        assert {each.detail for each in later if each.target == target} == set(details)
    assert all(each.seconds > plan.LEASE_SECONDS for each in later if each.target == "lock")


def test_a_process_with_the_clock_hook_sees_another_time_everywhere():
    script = (
        "import manage, datetime, json, pickle, time; from django.utils import timezone;"
        "from psycopg.adapt import Transformer;"
        "now = datetime.datetime.now(datetime.UTC); real = time.clock_gettime(time.CLOCK_REALTIME);"
        "assert isinstance(now.replace(tzinfo=None), datetime.datetime) and pickle.loads(pickle.dumps(now)) == now;"
        "Transformer().as_literal(now);"
        "print(json.dumps([clock - real for clock in (time.time(), time.time_ns() / 1e9, now.timestamp(),"
        " datetime.datetime.utcnow().replace(tzinfo=datetime.UTC).timestamp(), timezone.now().timestamp())]))"
    )
    env = os.environ | {"PYTHONPATH": CLOCK, "CLOCK_AHEAD": "25"}
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert all(20 < ahead < 30 for ahead in json.loads(run.stdout)), run.stdout


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
    watch = Watch(text="yes", status="completed", streamed="yes", attempt=1, ended_at=110.5)
    job = Job("j0", 0, "completed", "", "", 1, 0, 0, 100.0, 110.0, "yes", ("yes",), 1)
    job = dataclasses.replace(job, **changes.pop("job", {}))
    watches = {"j0": dataclasses.replace(watch, **changes.pop("watch", {}))}
    health = dataclasses.replace(HEALTHY, **changes.pop("health", {}))
    more = {
        name: changes.pop(name)
        for name in ("damaged", "touched", "unreadable", "spoiled", "growth", "slow")
        if name in changes
    }
    billed, injected = changes.pop("billed", [Billed(0, False)]), changes.pop("injected", [])
    observations = Observations(accepted=changes.pop("accepted", {0: "j0"}), watches=watches)
    rows = dataclasses.replace(Rows([job], [0], [], 0, 0, 1, []), **changes)
    return Evidence(1, 60, observations, rows, billed, injected, Counter(), health=health, **more)


def outage(role: str) -> Injected:
    """A model that was down from second 100 to second 120."""
    return Injected("outage", 100.0, 120.0, role)


def asked(kind: str, finished_at: float) -> Other:
    """A question of somebody else in that outage; it has not ended if `finished_at` is 0."""
    return Other("j1", kind, "completed" if finished_at else "pending", 102.0, finished_at)


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
        ({"background_failed": [("j9 internal", "internal")]}, "every failure is explained"),
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
        ({"unreadable": {"req_1": 105.0}}, "a reply that cannot be read"),
        ({"job": {"lost": ((101.0, 105.0),)}}, "no run is lost whose worker was not killed"),
        ({"job": {"waited": 20.0}}, "half of the questions are begun"),
        (
            {"injected": [outage("fast")], "job": {"created_at": 102.0, "finished_at": 130.0, "is_first": True}},
            "what does not need",
        ),
        ({"injected": [outage("chat")], "others": [asked("personas.profile", 0.0)]}, "what does not need"),
        ({"injected": [outage("embedding")], "others": [asked("landing.answer", 130.0)]}, "what does not need"),
        ({"injected": [outage("embedding")], "others": [asked("personas.profile", 110.0)]}, "what does not need"),
        ({"health": {"ready": 503}}, "workers sweep"),
        ({"health": {"metrics": 500}}, "workers sweep"),
        ({"health": {"swept": -1.0}}, "workers sweep"),
        ({"health": {"swept": 60.0}}, "workers sweep"),
        ({"health": {"counted": 0}}, "workers sweep"),
        ({"health": {"is_reported": False}}, "jobs of other releases"),
        ({"touched": ["chaos.unknown in interactive: failed"]}, "jobs of other releases"),
        ({"damaged": ["breaker:{gpt} is no hash"]}, "breakers and buckets"),
        ({"growth": 700.0}, "slow readers"),
        ({"watch": {"ended_at": 116.0}}, "three in four ends"),
    ],
)
def test_broken_guarantee_is_named(changes, guarantee):
    assert any(what.startswith(guarantee) for what in broken(evidence(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"unreadable": {"req_1": 105.0}, "failed_calls": {"req_1"}},
        {"unreadable": {"req_1": 105.0}, "injected": [Injected("worker", 106.0)]},
        {"job": {"lost": ((101.0, 105.0),)}, "injected": [Injected("worker", 103.0)]},
        {"injected": [outage("fast")], "others": [asked("landing.answer", 110.0)]},
        {"injected": [outage("chat")], "others": [asked("personas.profile", 110.0)]},
        {"watch": {"ended_at": 116.0}, "slow": {"j0"}},
        {"watch": {"ended_at": 116.0, "was_polled": True}},
    ],
)
def test_what_a_disruption_explains_breaks_no_guarantee(changes):
    assert broken(evidence(**changes)) == []


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


def test_third_paid_answer_of_no_use_permits_a_failed_job():
    given_up = {"status": "failed", "error": "upstream_garbled", "saved": (), "answer": ""}
    spoiled = [Counter({0: times}) for times in (2, 3)]
    found = [broken(evidence(job=given_up, watch={"status": "failed"}, spoiled=times)) for times in spoiled]
    assert found == [["every failure is explained by the injected faults"], []]


def test_two_killed_workers_permit_a_poisonous_job():
    lost = ((101.0, 105.0), (106.0, 110.0))
    poisonous = {"status": "failed", "error": "poisonous", "saved": (), "answer": "", "lost": lost}
    killed = [Injected("worker", 102.0), Injected("worker", 107.0)]
    assert broken(evidence(job=poisonous, watch={"status": "failed"}, injected=killed)) == []
    assert broken(evidence(job=poisonous, watch={"status": "failed"}, injected=killed[:1]))
