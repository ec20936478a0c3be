"""What one viewer has been sent of its jobs, and what it is sent next: every event once, in order."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from redis import RedisError

from jobs.backends.connections import Resources
from jobs.events import outcome, publish
from jobs.events.schema import START, Frame, Place, frame
from jobs.models import AiJob

logger = logging.getLogger(__name__)

END_SEQ = 2**63 - 1  # after every seq


class Viewer:
    """Keeps the place of one socket or event stream in each of its jobs."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._places: dict[str, Place] = {}

    async def live(self, frames: Iterable[Frame]) -> list[Frame]:
        """Of events that were pushed, those to show now, with any that were missed before them."""
        shown: list[Frame] = []
        for item in frames:
            if self._is_next(item):
                shown += self._show(item)
            elif item.place > self.place(item.job_id):
                shown += await self._missed(item.job_id)
        return shown

    async def resume(self, job: AiJob, after: Place) -> list[Frame]:
        """Everything after this place; for a job that has ended, its end in any case."""
        job_id = str(job.pk)
        self._places[job_id] = after
        missed = await self._missed(job_id)
        if job.is_final and not (missed and missed[-1].is_final) and not await self._has_seen_end(job, after):
            missed.append(await self._end_of(job))
            self._places[job_id] = Place(job.attempt, END_SEQ)  # not even events still on their way follow an end
        return missed

    def place(self, job_id: str) -> Place:
        """The last event that this viewer was shown of the job; START when there is none."""
        return self._places.get(job_id, START)

    def _is_next(self, item: Frame) -> bool:
        place = self.place(item.job_id)
        if item.place.attempt == place.attempt:
            return item.place.seq == place.seq + 1
        return item.place.attempt > place.attempt and item.place.seq == 1

    def _show(self, item: Frame) -> list[Frame]:
        self._places[item.job_id] = item.place
        return [item]

    async def _missed(self, job_id: str) -> list[Frame]:
        """What the stream holds after the viewer's place, up to the first hole: a run fills holes again."""
        shown: list[Frame] = []
        for item in await self._read_after(job_id, self.place(job_id)):
            if not self._is_next(item):
                break
            shown += self._show(item)
        return shown

    async def _has_seen_end(self, job: AiJob, after: Place) -> bool:
        """Whether the place that the viewer named is the end itself."""
        newest = await self._read_after(str(job.pk), Place(after.attempt, max(after.seq - 1, 0)))
        return bool(newest) and newest[-1].is_final and newest[-1].place == after

    async def _end_of(self, job: AiJob) -> Frame:
        """The end as the row tells it, when its event was lost or has expired."""
        place = self.place(str(job.pk))
        seq = place.seq + 1 if place.attempt == job.attempt else 1
        return frame(job, Place(job.attempt, seq), await self._resources.db.call(outcome.final_event, job))

    async def _read_after(self, job_id: str, place: Place) -> list[Frame]:
        try:
            return await publish.read_after(self._resources.redis, job_id, place)
        except (RedisError, OSError) as error:
            logger.warning("job %s: events cannot be read, Redis is away: %s", job_id, type(error).__name__)
            return []
