"""Checks each guarantee of the engine against what happened. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.lab.chaos.database import Job, Rows
from tests.lab.chaos.injector import Injected
from tests.lab.chaos.people import Observations
from tests.lab.chaos.plan import KILLED, LASTING
from tests.lab.chaos.upstream import Billed
from tests.lab.chaos.watch import Watch
from tests.lab.report import table
from tests.lab.stats import percentile

SHOWN = 8  # at most this many offenders are named in a row
GIVEN_UP = ("upstream_unavailable", "upstream_busy", "upstream_paused")
BROKEN_ANSWERS = 3  # that are paid for one question, PAID_TRIES of jobs/worker/run.py
AFTERMATH = 10.0  # seconds after a kill during which it may still affect new jobs


@dataclass
class Evidence:
    """One run: what people saw, the database, what the upstream billed, which faults were injected."""

    questions: int
    max_failures: int
    observations: Observations
    rows: Rows
    billed: list[Billed]
    injected: list[Injected]
    ended: Counter[str] = field(default_factory=Counter)

    def kills_in(self, job: Job) -> int:
        """The number of kills during the life of this job."""
        return sum(
            one.target in KILLED and job.created_at - AFTERMATH <= one.at <= job.finished_at for one in self.injected
        )

    def killed_during_attempts(self, job: Job) -> list[bool]:
        """For each lost attempt, whether a worker was killed during it."""
        killed = [one.at for one in self.injected if one.target == "worker"]
        return [any(began <= at <= ended for at in killed) for began, ended in job.lost]


@dataclass(frozen=True)
class Guarantee:
    """A guarantee, what was found, and the jobs or questions that broke it."""

    what: str
    found: str
    offenders: list[str]

    def cells(self) -> list[str]:
        """The cells of its line in the table."""
        named = ", ".join(self.offenders[:SHOWN]) + (" ..." if len(self.offenders) > SHOWN else "")
        return [self.what, self.found, f"**broken**: {named}" if self.offenders else "kept"]


def guarantees(evidence: Evidence) -> list[Guarantee]:
    """All guarantees, in the order of a question's life."""
    return [check(evidence) for check in _CHECKS]


def render(machine: str, evidence: Evidence, checked: Sequence[Guarantee]) -> str:
    """The whole result as Markdown."""
    facts = table(["what happened", ""], _facts(evidence))
    return f"Machine: {machine}\n\n{facts}\n\n{table(['guarantee', 'found', ''], (row.cells() for row in checked))}"


def _facts(evidence: Evidence) -> list[list[str]]:
    jobs, kills = evidence.rows.jobs, Counter(one.target for one in evidence.injected)
    errors = Counter(f"failed: {job.error}" for job in jobs if job.status == "failed")
    took = [job.finished_at - job.created_at for job in jobs if job.finished_at] or [0.0]
    lost = [was_killed for job in jobs for was_killed in evidence.killed_during_attempts(job)]
    watches = evidence.observations.watches.values()
    broken = sum(call.is_broken for call in evidence.billed)
    return [
        ["killed or flushed", _counts(kills)],
        ["ended without being killed, and restarted", _counts(evidence.ended) or "none"],
        ["jobs", _counts(Counter(job.status for job in jobs) + errors)],
        ["attempts per job", _counts(Counter(f"{job.attempt} attempts" for job in jobs))],
        ["attempts lost with their worker", f"{len(lost)}, {lost.count(False)} of them without a worker being killed"],
        ["seconds from accepted to ended", ", ".join(f"p{p} {percentile(took, p):.1f}" for p in (50, 95, 100))],
        ["at the viewers", _counts(evidence.observations.counts)],
        ["ends learned by polling instead of an event", f"{sum(watch.was_polled for watch in watches)}"],
        ["answer calls for which text was sent", f"{len(evidence.billed)}, {broken} of them broken off by a fault"],
        ["answer calls with tokens in AiCall", f"{evidence.rows.calls}"],
    ]


def _accepted(evidence: Evidence) -> Guarantee:
    refused = [f"question {number}: {why}" for number, why in evidence.observations.refused.items()]
    accepted = len(evidence.observations.accepted)
    missing = [f"{evidence.questions - accepted} were not accepted"] if accepted < evidence.questions else []
    return Guarantee("every question is accepted in the end", f"{accepted} of {evidence.questions}", refused or missing)


def _one_job(evidence: Evidence) -> Guarantee:
    """There are no other jobs: a POST whose response was lost created the job that its repetition returned."""
    of_question = Counter(job.number for job in evidence.rows.jobs)
    known = {job.job_id: job.number for job in evidence.rows.jobs}
    wrong = [job_id for number, job_id in evidence.observations.accepted.items() if known.get(job_id) != number]
    doubled = [f"question {number}: {count} jobs" for number, count in of_question.items() if count > 1 or number < 0]
    return Guarantee("each has exactly one job", f"{len(known)} jobs", wrong + doubled)


def _ended(evidence: Evidence) -> Guarantee:
    ended = sum(job.status in ("completed", "failed", "cancelled") for job in evidence.rows.jobs)
    return Guarantee("every job has ended", f"{ended}", evidence.rows.active)


def _fitting_failure(evidence: Evidence) -> Guarantee:
    failed = [job for job in evidence.rows.jobs if job.status == "failed"]
    wrong = [f"{job.job_id} ({job.error}: {job.detail})" for job in failed if not _fits(evidence, job)]
    wrong += evidence.rows.background_failed
    return Guarantee("every failure is explained by the injected faults", f"{len(failed)} failed", wrong)


def _fits(evidence: Evidence, job: Job) -> bool:
    if job.error == "poisonous":
        return evidence.killed_during_attempts(job).count(True) >= 2
    if job.error in LASTING.values():
        return True
    if job.error == "upstream_garbled" and job.failures + 1 >= BROKEN_ANSWERS:
        return True
    broken = sum(call.is_broken for call in evidence.billed if call.number == job.number)
    return job.error in GIVEN_UP and (job.failures + 1 >= evidence.max_failures or broken >= BROKEN_ANSWERS)


def _one_answer(evidence: Evidence) -> Guarantee:
    completed = [job for job in evidence.rows.jobs if job.status == "completed"]
    wrong = [job.job_id for job in completed if job.saved != (job.answer,) or not job.answer]
    wrong += [job.job_id for job in evidence.rows.jobs if job.status == "failed" and job.saved]
    return Guarantee("a completed job has exactly one saved answer", f"{len(completed)} completed", wrong)


def _no_doubles(evidence: Evidence) -> Guarantee:
    doubled = [f"question {number}" for number, count in Counter(evidence.rows.questions).items() if count > 1]
    return Guarantee("no question is saved twice", f"{len(evidence.rows.questions)} saved", doubled)


def _no_orphans(evidence: Evidence) -> Guarantee:
    rows = evidence.rows
    orphans = [f"{rows.without_job} messages or conversations"] if rows.without_job else []
    orphans += [f"{rows.leases} leases"] if rows.leases else []
    orphans += [f"{job.job_id} has no question" for job in rows.jobs if job.number < 0]
    return Guarantee("no orphan rows", f"{len(orphans)}", orphans)


def _told(evidence: Evidence) -> Guarantee:
    status = {job.job_id: job.status for job in evidence.rows.jobs}
    watches = evidence.observations.watches.items()
    wrong = [job_id for job_id, watch in watches if watch.status != status.get(job_id)]
    wrong += [f"{job_id}: {watch.contradiction}" for job_id, watch in watches if watch.contradiction]
    return Guarantee("every viewer has learned the same end", f"{len(evidence.observations.watches)} viewed", wrong)


def _shown(evidence: Evidence) -> Guarantee:
    return _texts(evidence, "every viewer shows the saved text", lambda watch, saved: watch.text == saved)


def _streamed(evidence: Evidence) -> Guarantee:
    """The last deltas may be missing, because the end can come from the row; earlier ones may not."""
    what = "the deltas received before the end are a prefix of the saved text"
    return _texts(evidence, what, lambda watch, saved: saved.startswith(watch.streamed))


def _texts(evidence: Evidence, what: str, agrees: Callable[[Watch, str], bool]) -> Guarantee:
    completed = [job for job in evidence.rows.jobs if job.status == "completed"]
    wrong = [job.job_id for job in completed if not agrees(evidence.observations.watches[job.job_id], job.answer)]
    return Guarantee(what, f"{len(completed)} compared", wrong)


def _billed(evidence: Evidence) -> Guarantee:
    """Calls that an injected fault broke off are not counted."""
    calls = Counter(call.number for call in evidence.billed if not call.is_broken)
    extra = {job: calls[job.number] - 1 for job in evidence.rows.jobs if calls[job.number] > 1}
    wrong = [f"{job.job_id}: {more} extra" for job, more in extra.items() if more > evidence.kills_in(job)]
    found = f"{sum(extra.values())} extra calls for {len(extra)} jobs"
    return Guarantee("a job is billed at most once more for each kill during its life", found, wrong)


def _entered(evidence: Evidence) -> Guarantee:
    completed = [job for job in evidence.rows.jobs if job.status == "completed"]
    return Guarantee(
        "the call of a completed job has an AiCall row",
        f"{sum(job.calls > 0 for job in completed)} of {len(completed)}",
        [job.job_id for job in completed if not job.calls],
    )


def _counts(counter: Mapping[Any, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counter.items()))


_CHECKS: tuple[Callable[[Evidence], Guarantee], ...] = (
    _accepted,
    _one_job,
    _ended,
    _fitting_failure,
    _one_answer,
    _no_doubles,
    _no_orphans,
    _told,
    _shown,
    _streamed,
    _billed,
    _entered,
)
