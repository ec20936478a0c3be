"""Limits how fast a worker takes jobs: no more than its event loop has time for, and few at a time after an outage.

docs/decisions/0023 and 0010 say why.
"""

from __future__ import annotations

import logging
import math
import time

from jobs.backends.upstream import Upstream
from jobs.worker.loop_thread import LoopThread

logger = logging.getLogger(__name__)

PAUSE_SECONDS, HOLD_SECONDS = 0.02, 0.25  # between two checks of the loop, and for one job in all
GAP_SECONDS, RECOVERY_SECONDS = 0.025, 60.0  # between two jobs, for this long after the upstream was away
REPORT_SECONDS, REPORT_AFTER = 60.0, 20  # jobs that were taken although the loop was late, in a minute


class Throttle:
    """Holds back the next job while the event loop lags, for a bounded time: a slow machine works, too.

    A job is better off in its queue, in order and open to other workers, than on a loop that makes all answers late.
    When the upstream is back after an outage, the backlog begins job by job, so that it does not overload it again.
    """

    def __init__(self, loop: LoopThread, upstream: Upstream) -> None:
        self._loop = loop
        self._upstream = upstream
        self._taken_at = -math.inf
        self._minute = self._late = 0

    def wait(self, in_flight: int) -> None:
        """Block until the loop is not late; return at once if nothing is in flight. For the worker's main thread."""
        if time.monotonic() - self._upstream.paused_at < RECOVERY_SECONDS:
            time.sleep(max(0.0, self._taken_at + GAP_SECONDS - time.monotonic()))
        self._taken_at = time.monotonic()
        while in_flight and self._loop.is_late():
            if time.monotonic() - self._taken_at > HOLD_SECONDS:
                return self._report(in_flight)
            time.sleep(PAUSE_SECONDS)

    def _report(self, in_flight: int) -> None:
        minute = int(time.monotonic() / REPORT_SECONDS)
        self._late = self._late + 1 if minute == self._minute else 1
        self._minute = minute
        if self._late == REPORT_AFTER:
            logger.warning("worker saturated: event loop lags with %d jobs in flight; start more workers", in_flight)
