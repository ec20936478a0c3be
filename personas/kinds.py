"""The kinds of jobs of this surface: what each loads, runs and saves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from django.db import transaction

from accounts.people import SYSTEM
from jobs.kinds import JobKind, Result, Run
from jobs.limits import RETRY_SECONDS, LimitReached
from jobs.models import AiJob
from jobs.submission import SubjectBusy, Submission, submit
from personas import pipeline, rows, versions
from personas.models import Profile

MAX_ACTIVE_RENEWALS = 8  # renewals of a batch that are pending or running at any moment
RENEWAL_INTERVAL_SECONDS = (
    0.25  # seconds between two: several that begin together would slow down whoever asks at that moment
)
BATCH_DEADLINE_SECONDS = 86_400.0


async def classify(run: Run) -> Result:
    """Find the persona of the learner that the payload names; nothing if the profile has changed since."""
    profile = await run.db(rows.classifiable, run.job)
    if profile is None:
        return {}
    run.progress("answering")
    classified = await pipeline.classify(profile.personas, profile.answers, run.llm)
    return rows.as_result(classified, profile)


async def feed(run: Run) -> Result:
    """Submit the renewals of all stale profiles, one after the other, so that others find slots and rate free.

    Every profile is submitted once: those that fail are not tried for ever. Started again after a lost worker, it
    skips those that are done, which are no longer stale. Cancelling it ends the batch, and so do failures in a row.
    """
    after, submitted = 0, 0
    while (last := await run.db(_feed_one, run.job, after)) is not None:
        submitted += last > after
        after = last
        await asyncio.sleep(RENEWAL_INTERVAL_SECONDS)
    return {"submitted": submitted}


def submit_renewals(profiles: Iterable[Profile]) -> int:
    """Have these profiles classified again, by jobs of the system; returns how many were submitted.

    They are the system's, not the learners': what staff ask for does not use up a learner's budget or active jobs,
    shows up on no learner's page, and for the rate governor the whole batch is one person.
    """
    submitted = 0
    with transaction.atomic():
        for profile in profiles:
            with suppress(SubjectBusy):  # it is being classified already
                submit(Submission(SYSTEM), RENEWAL, profile.payload, subject=profile.subject)
                submitted += 1
    return submitted


def _feed_one(batch: AiJob, after: int) -> int | None:
    """Submit the next renewal, if there is room; the id of the last profile so far, None when there are no more."""
    _stop_if_failing(batch)
    if AiJob.objects.active().filter(kind=RENEWAL.name).count() >= MAX_ACTIVE_RENEWALS:
        return after
    profile = Profile.objects.stale(versions.current()).filter(pk__gt=after).order_by("pk").first()
    if profile is None:
        return None
    submit_renewals([profile])
    return profile.pk


def _stop_if_failing(batch: AiJob) -> None:
    """Raise LimitReached after MAX_ACTIVE_RENEWALS failures in a row, as with an empty budget: the others would fail as well."""
    since = AiJob.objects.filter(kind=RENEWAL.name, created_at__gte=batch.created_at, finished_at__isnull=False)
    newest = list(since.order_by("-finished_at").values_list("status", "error_message")[:MAX_ACTIVE_RENEWALS])
    if len(newest) == MAX_ACTIVE_RENEWALS and all(status == AiJob.Status.FAILED for status, _ in newest):
        text = f"The last {MAX_ACTIVE_RENEWALS} renewals failed, so the batch was stopped: {newest[0][1]}"
        raise LimitReached("renewals_failing", text, RETRY_SECONDS)


PROFILE = JobKind("personas.profile", classify, rows.save, priority=2)  # a learner has answered
RENEWAL = JobKind("personas.renewal", classify, rows.save, priority=2)  # staff have the same answers classified again
BATCH = JobKind(
    "personas.batch", feed, deadline=BATCH_DEADLINE_SECONDS, priority=2
)  # the renewals of all stale profiles
