"""The account: every promise of the engine against what really happened. Pure; what it needs is passed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.lab.chaos.database import Books, Job
from tests.lab.chaos.injector import Struck
from tests.lab.chaos.people import Diary
from tests.lab.chaos.plan import KILLED, LASTING
from tests.lab.chaos.upstream import Billed
from tests.lab.chaos.watch import Watch
from tests.lab.report import table
from tests.lab.stats import percentile

SHOWN = 8  # offenders that a row names
GIVEN_UP = ("upstream_unavailable", "upstream_busy", "upstream_paused")
LINGERING = 10.0  # seconds after a kill in which its consequences may still begin


@dataclass
class Story:
    """One run: what people went through, what is in the database, what the upstream did, what was killed."""

    questions: int
    max_failures: int
    diary: Diary
    books: Books
    billed: list[Billed]
    struck: list[Struck]
    ended: Counter[str] = field(default_factory=Counter)

    def kills_in(self, job: Job) -> int:
        """How many kills this job lived through."""
        return sum(
            one.target in KILLED and job.created_at - LINGERING <= one.at <= job.finished_at for one in self.struck
        )

    def really_lost(self, job: Job) -> list[bool]:
        """For each attempt that was taken back as lost, whether a worker was killed while it went on."""
        killed = [one.at for one in self.struck if one.target == "worker"]
        return [any(began <= at <= ended for at in killed) for began, ended in job.lost]


@dataclass(frozen=True)
class Promise:
    """A promise, what was found, and who broke it."""

    what: str
    found: str
    offenders: list[str]

    def cells(self) -> list[str]:
        """The row of the table."""
        named = ", ".join(self.offenders[:SHOWN]) + (" ..." if len(self.offenders) > SHOWN else "")
        return [self.what, self.found, f"**broken**: {named}" if self.offenders else "kept"]


def promises(story: Story) -> list[Promise]:
    """All of them, in the order of a question's way."""
    return [check(story) for check in _CHECKS]


def render(machine: str, story: Story, kept: Sequence[Promise]) -> str:
    """The whole account, as Markdown."""
    facts = table(["what happened", ""], _facts(story))
    return f"Machine: {machine}\n\n{facts}\n\n{table(['promise', 'found', ''], (row.cells() for row in kept))}"


def _facts(story: Story) -> list[list[str]]:
    jobs, kills = story.books.jobs, Counter(one.target for one in story.struck)
    errors = Counter(f"failed: {job.error}" for job in jobs if job.status == "failed")
    took = [job.finished_at - job.created_at for job in jobs if job.finished_at] or [0.0]
    lost = [really for job in jobs for really in story.really_lost(job)]
    broken = sum(call.is_broken for call in story.billed)
    return [
        ["killed, or emptied", _counts(kills)],
        ["ended by themselves and started again", _counts(story.ended) or "none"],
        ["jobs", _counts(Counter(job.status for job in jobs) + errors)],
        ["attempts for a job", _counts(Counter(f"{job.attempt} attempts" for job in jobs))],
        ["attempts taken back as lost", f"{len(lost)}, {lost.count(False)} of them while no worker was killed"],
        ["seconds from accepted to ended", ", ".join(f"p{p} {percentile(took, p):.1f}" for p in (50, 95, 100))],
        ["at the viewers", _counts(story.diary.counts)],
        ["ends learned by asking, not by an event", f"{sum(w.was_polled for w in story.diary.watches.values())}"],
        ["answer calls for which text was sent", f"{len(story.billed)}, {broken} of them broken off upstream"],
        ["answer calls with tokens in the account", f"{story.books.calls}"],
    ]


def _accepted(story: Story) -> Promise:
    refused = [f"question {number}: {why}" for number, why in story.diary.refused.items()]
    accepted = len(story.diary.accepted)
    missing = [f"{story.questions - accepted} were not accepted"] if accepted < story.questions else []
    return Promise("every question is accepted in the end", f"{accepted} of {story.questions}", refused or missing)


def _one_job(story: Story) -> Promise:
    """Also no jobs beside: a POST whose answer was lost made the job that its repetition was told of."""
    of_question = Counter(job.number for job in story.books.jobs)
    known = {job.job_id: job.number for job in story.books.jobs}
    wrong = [job_id for number, job_id in story.diary.accepted.items() if known.get(job_id) != number]
    doubled = [f"question {number}: {count} jobs" for number, count in of_question.items() if count > 1 or number < 0]
    return Promise("each has exactly one job", f"{len(known)} jobs", wrong + doubled)


def _ended(story: Story) -> Promise:
    ended = sum(job.status in ("completed", "failed", "cancelled") for job in story.books.jobs)
    return Promise("every job has ended", f"{ended}", story.books.active)


def _fitting_failure(story: Story) -> Promise:
    failed = [job for job in story.books.jobs if job.status == "failed"]
    wrong = [f"{job.job_id} ({job.error}: {job.detail})" for job in failed if not _fits(story, job)]
    wrong += story.books.background_failed
    return Promise("what failed has a reason among what was done to it", f"{len(failed)} failed", wrong)


def _fits(story: Story, job: Job) -> bool:
    if job.error == "poisonous":
        return story.really_lost(job).count(True) >= 2
    if job.error in LASTING.values():
        return True
    return job.error in GIVEN_UP and job.failures + 1 >= story.max_failures


def _one_answer(story: Story) -> Promise:
    completed = [job for job in story.books.jobs if job.status == "completed"]
    wrong = [job.job_id for job in completed if job.saved != (job.answer,) or not job.answer]
    wrong += [job.job_id for job in story.books.jobs if job.status == "failed" and job.saved]
    return Promise("a completed job has exactly one saved answer", f"{len(completed)} completed", wrong)


def _no_doubles(story: Story) -> Promise:
    doubled = [f"question {number}" for number, count in Counter(story.books.questions).items() if count > 1]
    return Promise("no question is saved twice", f"{len(story.books.questions)} saved", doubled)


def _no_orphans(story: Story) -> Promise:
    books = story.books
    orphans = [f"{books.without_job} messages or conversations"] if books.without_job else []
    orphans += [f"{books.leases} leases"] if books.leases else []
    orphans += [f"{job.job_id} has no question" for job in books.jobs if job.number < 0]
    return Promise("no orphan rows", f"{len(orphans)}", orphans)


def _told(story: Story) -> Promise:
    status = {job.job_id: job.status for job in story.books.jobs}
    watches = story.diary.watches.items()
    wrong = [job_id for job_id, watch in watches if watch.status != status.get(job_id)]
    wrong += [f"{job_id}: {watch.contradiction}" for job_id, watch in watches if watch.contradiction]
    return Promise("every viewer has learned the one end", f"{len(story.diary.watches)} viewed", wrong)


def _shown(story: Story) -> Promise:
    return _texts(story, "every viewer shows the saved text", lambda watch, saved: watch.text == saved)


def _streamed(story: Story) -> Promise:
    """Some of the last pieces may be missing, never any before them: the end can come from the row."""
    what = "the pieces that came before the end begin the saved text"
    return _texts(story, what, lambda watch, saved: saved.startswith(watch.streamed))


def _texts(story: Story, what: str, agrees: Callable[[Watch, str], bool]) -> Promise:
    completed = [job for job in story.books.jobs if job.status == "completed"]
    wrong = [job.job_id for job in completed if not agrees(story.diary.watches[job.job_id], job.answer)]
    return Promise(what, f"{len(completed)} compared", wrong)


def _billed(story: Story) -> Promise:
    """Answers that the upstream broke off itself are its own doing, and not counted."""
    calls = Counter(call.number for call in story.billed if not call.is_broken)
    extra = {job: calls[job.number] - 1 for job in story.books.jobs if calls[job.number] > 1}
    wrong = [f"{job.job_id}: {more} extra" for job, more in extra.items() if more > story.kills_in(job)]
    found = f"{sum(extra.values())} extra calls for {len(extra)} jobs"
    return Promise("a job is billed at most once more for each kill in its time", found, wrong)


def _entered(story: Story) -> Promise:
    completed = [job for job in story.books.jobs if job.status == "completed"]
    return Promise(
        "a completed job's call stands in the account",
        f"{sum(job.calls > 0 for job in completed)} of {len(completed)}",
        [job.job_id for job in completed if not job.calls],
    )


def _counts(counter: Mapping[Any, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counter.items()))


_CHECKS: tuple[Callable[[Story], Promise], ...] = (
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
