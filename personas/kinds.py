"""The kinds of jobs of this surface, as the engine knows them: what they load, run and save."""

from __future__ import annotations

import asyncio
from typing import Any

from jobs.kinds import JobKind
from jobs.limits import RETRY_SECONDS, LimitReached
from jobs.models import AiJob
from jobs.worker.run import Run
from personas import actions, pipeline, rows, versions
from personas.models import Profile

AT_ONCE = 8  # renewals of a batch that are pending or running at any moment
FEED_EVERY = 0.25  # seconds between two: several that begin together would be felt by whoever asks at that moment
A_DAY = 86_400.0


async def classify(run: Run) -> dict[str, Any]:
    """Find the persona of the learner that the payload names; nothing where the profile is no longer the same."""
    material = await run.db(rows.material_of, run.job)
    if material is None:
        return {}
    run.progress("answering")
    classified = await pipeline.classify(material.personas, material.replies, run.llm)
    return rows.as_result(classified, material)


async def feed(run: Run) -> dict[str, Any]:
    """Submit the renewals of everybody of an old version, one after the other, so that others find slots and rate free.

    Every profile is submitted once: those that fail are not tried for ever. Begun anew after a lost worker, it finds
    those that are done no longer among the old ones. Cancelling it ends the batch, and so does a row of failures.
    """
    after, submitted = 0, 0
    while (last := await run.db(_feed_one, run.job, after)) is not None:
        submitted += last > after
        after = last
        await asyncio.sleep(FEED_EVERY)
    return {"submitted": submitted}


def _feed_one(batch: AiJob, after: int) -> int | None:
    """Submit the next renewal, if there is room; the id of the last profile so far, None when there are no more."""
    _stop_if_hopeless(batch)
    if AiJob.objects.active().filter(kind=actions.RENEWAL).count() >= AT_ONCE:
        return after
    profile = Profile.objects.stale(versions.current()).filter(pk__gt=after).order_by("pk").first()
    if profile is None:
        return None
    actions.renew([profile])
    return profile.pk


def _stop_if_hopeless(batch: AiJob) -> None:
    """No credit, or nothing left of the day's budget: what is not submitted yet would fail the same way."""
    since = AiJob.objects.filter(kind=actions.RENEWAL, created_at__gte=batch.created_at, finished_at__isnull=False)
    newest = list(since.order_by("-finished_at").values_list("status", "error_message")[:AT_ONCE])
    if len(newest) == AT_ONCE and all(status == AiJob.Status.FAILED for status, _ in newest):
        text = f"The last {AT_ONCE} renewals failed, so the batch was stopped: {newest[0][1]}"
        raise LimitReached("renewals_failing", text, RETRY_SECONDS)


PROFILE = JobKind(actions.PROFILE, classify, rows.save, priority=2)
RENEWAL = JobKind(actions.RENEWAL, classify, rows.save, priority=2)
BATCH = JobKind(actions.BATCH, feed, deadline=A_DAY, priority=2)
