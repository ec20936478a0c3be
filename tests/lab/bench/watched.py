"""One job as its viewer sees it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

# Like pages (jobs/static/jobs/client.js), ask for missed events after this many seconds of silence, then less often.
SILENCE, GROWTH, LONGEST, MOST_QUIET = 10.0, 1.5, 6, 60.0


@dataclass
class Watched:
    """What a viewer has seen of one job; times are Unix times."""

    ended: asyncio.Future[float] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    first_delta_at: float = 0.0
    attempts: dict[int, float] = field(default_factory=dict)  # attempt: when it began
    place: dict[str, int] = field(default_factory=lambda: {"attempt": 0, "seq": 0})
    was_missed: bool = False  # the end came only after a resume request
    heard_at: float = field(default_factory=time.time)
    retry_at: float = 0.0  # as job.retrying announced
    asked_at: float = 0.0
    asked: int = 0  # resume requests since the last event

    @property
    def ask_at(self) -> float:
        """When to ask for missed events, unless an event arrives first."""
        quiet_until = min(self.retry_at, self.heard_at + MOST_QUIET)
        return max(self.heard_at, self.asked_at, quiet_until) + SILENCE * min(LONGEST, GROWTH**self.asked)
