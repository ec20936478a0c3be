"""The kinds of jobs of this surface, as the engine knows them: what they load, run and save."""

from __future__ import annotations

import asyncio
from typing import Any

from jobs import kinds
from jobs.models import AiJob
from jobs.runner import Run
from personas import actions, pipeline, profiles, versions
from personas.models import Profile

AT_ONCE = 8  # renewals of a batch that are pending or running at any moment
LOOK_EVERY = 0.5  # seconds
A_DAY = 86_400.0


async def classify(run: Run) -> dict[str, Any]:
    """Find the persona of the learner that the payload names; nothing where the profile is no longer the same."""
    material = await run.db(profiles.material_of, run.job)
    if material is None:
        return {}
    run.progress("answering")
    classified = await pipeline.classify(material.personas, material.replies, run.llm)
    return profiles.as_result(classified, material)


async def feed(run: Run) -> dict[str, Any]:
    """Submit the renewals of everybody of an old version, a few at a time, so that others find slots and rate free.

    Every profile is submitted once: those that fail are not tried for ever. Begun anew after a lost worker, it finds
    those that are done no longer among the old ones. Cancelling it ends the batch.
    """
    after, submitted = 0, 0
    while (fed := await run.db(_top_up, after)) is not None:
        after, count = fed
        submitted += count
        await asyncio.sleep(LOOK_EVERY)
    return {"submitted": submitted}


def _top_up(after: int) -> tuple[int, int] | None:
    """Submit as many as there is room for; (the last one's id, how many), None when there are no more."""
    active = AiJob.objects.active().filter(kind=actions.RENEWAL).count()
    stale = Profile.objects.stale(versions.current()).filter(pk__gt=after).order_by("pk")
    due = list(stale[: max(1, AT_ONCE - active)])
    if not due:
        return None
    return (due[-1].pk, actions.renew(due)) if active < AT_ONCE else (after, 0)


PROFILE = kinds.register(kinds.JobKind(actions.PROFILE, kinds.BACKGROUND, classify, profiles.save, priority=2))
RENEWAL = kinds.register(kinds.JobKind(actions.RENEWAL, kinds.BACKGROUND, classify, profiles.save, priority=2))
BATCH = kinds.register(kinds.JobKind(actions.BATCH, kinds.BACKGROUND, feed, deadline=A_DAY, priority=2))
