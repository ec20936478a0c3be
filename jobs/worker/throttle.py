"""A worker takes no more jobs than its event loop has time for, and begins gently after an outage.

Decisions 23 and 10 say why.
"""

from __future__ import annotations

import logging
import math
import threading
import time

from jobs.worker.loop_thread import LoopThread

logger = logging.getLogger(__name__)

LAG_SECONDS = 0.005  # an answer passes some thirty turns of the loop, most of them seconds after it was taken
REST_SECONDS, PATIENCE_SECONDS = 0.02, 0.25  # between two looks, and for all of them together
GAP_SECONDS, RECOVERY_SECONDS = 0.025, 60.0  # between two jobs, for so long after the upstream was away
TELL_SECONDS, TELL_AFTER = 60.0, 20  # jobs that were held back in vain, in a minute

_paused_at = -math.inf


def note_pause() -> None:
    """A call was held back because the upstream is away."""
    global _paused_at  # noqa: PLW0603  (one for each worker, written by its event loop and read by its main thread)
    _paused_at = time.monotonic()


class Pace:
    """Holds back the next job while the event loop is late, though not for long: a slow machine works, too.

    A job is better off in its queue, in order and open to other workers, than on a loop that makes all answers late.
    When the upstream is back after an outage, what has piled up begins job by job: it should not fall over again.
    """

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._taken_at = -math.inf
        self._minute = self._late = 0

    def wait(self, in_flight: int) -> None:
        """Return when the loop is in time, or with nothing on it that could make it late. From another thread."""
        self._keep_apart()
        until = time.monotonic() + PATIENCE_SECONDS
        while in_flight and not self._is_in_time():
            if time.monotonic() > until:
                return self._tell(in_flight)
            time.sleep(REST_SECONDS)

    def _keep_apart(self) -> None:
        if time.monotonic() - _paused_at < RECOVERY_SECONDS:
            time.sleep(max(0.0, self._taken_at + GAP_SECONDS - time.monotonic()))
        self._taken_at = time.monotonic()

    def _is_in_time(self) -> bool:
        turned = threading.Event()
        # In the turn after the one that is under way: this one may be about to end.
        self._loop.call(self._loop.loop.call_soon, turned.set)
        return turned.wait(LAG_SECONDS)

    def _tell(self, in_flight: int) -> None:
        minute = int(time.monotonic() / TELL_SECONDS)
        self._late = self._late + 1 if minute == self._minute else 1
        self._minute = minute
        if self._late == TELL_AFTER:
            logger.warning(
                "this worker has as many jobs as its processor can do in time, %d: more workers do more", in_flight
            )
