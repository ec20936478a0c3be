"""What a worker and Redis tell each other beside the jobs: `rq info`, django-rq's pages and /readyz see it there while
its event loop turns. RQ writes and asks for each job; here that is done as often as it says something new."""

from __future__ import annotations

import time
from typing import Any

from rq import suspension
from rq.utils import now
from rq.worker import BaseWorker
from rq.worker.base import WorkerStatus

ALIVE_SECONDS, BEAT_SECONDS = 90, 1.0
SUSPENSION_SECONDS = 0.1  # RQ asks before each job


class RegisteredWorker(BaseWorker):
    """Registered for a short while at a time, and again after Redis was emptied."""

    _is_signing_off = False
    _ask_again_at = 0.0

    def register_birth(self) -> None:
        super().register_birth()
        self.connection.expire(self.key, ALIVE_SECONDS)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Stay registered for a short while only: the event loop sends the next one, as long as it turns."""
        is_fresh = self.last_heartbeat and (now() - self.last_heartbeat).total_seconds() < BEAT_SECONDS
        if pipeline is not None or not is_fresh:  # RQ sends three for each job that it takes
            super().heartbeat(timeout or ALIVE_SECONDS, pipeline)

    def ensure_registered(self) -> None:
        """Register again after Redis was emptied."""
        if self._is_signing_off:
            return
        if not self.connection.sismember(self.redis_workers_keys, self.key):
            self.connection.delete(self.key)
            self.register_birth()
            self._state = WorkerStatus.STARTED  # that it was idle is gone, too
            self.set_state(WorkerStatus.IDLE)
        self.heartbeat()

    def set_state(self, state: str, pipeline: Any = None) -> None:
        if pipeline is not None or state != self._state:
            super().set_state(state, pipeline)

    def is_suspended(self) -> bool:
        """Whether no job may be begun now. Raises RedisError."""
        is_suspended = bool(suspension.is_suspended(self.connection))
        if is_suspended:
            self._ask_again_at = 0.0
        return is_suspended

    def check_for_suspension(self, burst: bool) -> None:
        """Wait while workers are suspended; in burst mode, stop. Asked when there is a job, too (rq_worker.py)."""
        if time.monotonic() >= self._ask_again_at:
            super().check_for_suspension(burst)
            self._ask_again_at = time.monotonic() + SUSPENSION_SECONDS

    def stay_unregistered(self) -> None:
        """It is about to sign off: not to be registered again."""
        self._is_signing_off = True
