"""The personas' kinds: what each loads, runs and saves."""

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

MAX_ACTIVE_RENEWALS = 8  # pending or running renewals of a batch
RENEWAL_INTERVAL_SECONDS = 0.25  # between submissions; bursts of renewals would slow down answers
BATCH_DEADLINE_SECONDS = 86_400.0


async def classify(run: Run) -> Result:
    """Find the persona for the profile in the payload. Returns {} if the profile has changed since."""
    profile = await run.db(rows.classifiable, run.job)
    if profile is None:
        return {}
    run.progress("answering")
    classified = await pipeline.classify(profile.personas, profile.answers, run.llm)
    return rows.as_result(classified, profile)


async def feed(run: Run) -> Result:
    """Submit renewals of all stale profiles one by one, so that slots and rate limits stay free for other jobs.

    Each profile is submitted once, so failing ones are not repeated forever. After a lost worker the next attempt skips
    finished profiles, which are no longer stale. Cancelling the job ends the batch, and so do consecutive failures.
    """
    after, submitted = 0, 0
    while (last := await run.db(_feed_one, run.job, after)) is not None:
        submitted += last > after
        after = last
        await asyncio.sleep(RENEWAL_INTERVAL_SECONDS)
    return {"submitted": submitted}


def submit_renewals(profiles: Iterable[Profile]) -> int:
    """Submit jobs that classify these profiles again; return how many were submitted.

    The jobs belong to the system, not to the learners. So they do not count against a learner's budget or active jobs,
    do not show on a learner's page, and the rate governor treats the whole batch as one person.
    """
    submitted = 0
    with transaction.atomic():
        for profile in profiles:
            with suppress(SubjectBusy):  # it is already being classified
                submit(Submission(SYSTEM), RENEWAL, profile.payload, subject=profile.subject)
                submitted += 1
    return submitted


def _feed_one(batch: AiJob, after: int) -> int | None:
    """Submit the next renewal if fewer than MAX_ACTIVE_RENEWALS are active.

    Returns the id of the last submitted profile, or None when no stale profile is left.
    """
    _stop_if_failing(batch)
    if AiJob.objects.active().filter(kind=RENEWAL.name).count() >= MAX_ACTIVE_RENEWALS:
        return after
    profile = Profile.objects.stale(versions.current()).filter(pk__gt=after).order_by("pk").first()
    if profile is None:
        return None
    submit_renewals([profile])
    return profile.pk


def _stop_if_failing(batch: AiJob) -> None:
    """Raise LimitReached after MAX_ACTIVE_RENEWALS consecutive failures, as when the budget is used up."""
    since = AiJob.objects.filter(kind=RENEWAL.name, created_at__gte=batch.created_at, finished_at__isnull=False)
    newest = list(since.order_by("-finished_at").values_list("status", "error_message")[:MAX_ACTIVE_RENEWALS])
    if len(newest) == MAX_ACTIVE_RENEWALS and all(status == AiJob.Status.FAILED for status, _ in newest):
        text = f"The last {MAX_ACTIVE_RENEWALS} renewals failed, so the batch was stopped: {newest[0][1]}"
        raise LimitReached("renewals_failing", text, RETRY_SECONDS)


PROFILE = JobKind("personas.profile", classify, rows.save, priority=2)  # a learner answered the questionnaire
RENEWAL = JobKind("personas.renewal", classify, rows.save, priority=2)  # the same answers, classified again
BATCH = JobKind(
    "personas.batch", feed, deadline=BATCH_DEADLINE_SECONDS, priority=2
)  # the renewals of all stale profiles
