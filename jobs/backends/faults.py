"""What goes wrong in the background tasks of a process: logged at once, counted for /metrics."""

from __future__ import annotations

import logging
from collections import Counter

logger = logging.getLogger(__name__)


class Faults:
    """Collects the failures of background tasks, which go on after each. Safe to use from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def note(self, task: str, error: BaseException, job_id: object = "") -> None:
        """Log and count a failure; with its traceback, unless the task failed in the same way just before."""
        text = f"{job_id} {type(error).__name__}: {error}"
        exc_info = None if self._last.get(task) == text else error
        about = f" (job {job_id})" if job_id else ""
        logger.error("%s failed%s, it goes on: %s", task, about, type(error).__name__, exc_info=exc_info)
        self._counts[task] += 1
        self._last[task] = text

    def take(self) -> dict[str, int]:
        """The failures since the last time, by task."""
        counts, self._counts = self._counts, Counter()
        return dict(counts)

    def put_back(self, counts: dict[str, int]) -> None:
        """Count these again: they could not be written down."""
        self._counts.update(counts)
