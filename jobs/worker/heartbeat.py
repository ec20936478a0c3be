"""The worker's registration in Redis, where `rq info`, django-rq's pages and /readyz see it.

RQ writes and reads it for each job; this worker does so when something has changed, and once a second at most.
"""

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
    """Registers for ALIVE_SECONDS at a time, and registers again after Redis was emptied."""

    _is_signing_off = False
    _ask_again_at = 0.0

    def register_birth(self) -> None:
        super().register_birth()
        self.connection.expire(self.key, ALIVE_SECONDS)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Extend the registration by ALIVE_SECONDS. The event loop sends it, so a hung loop lets it expire."""
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
            self._state = WorkerStatus.STARTED  # Redis no longer knows that it was idle
            self.set_state(WorkerStatus.IDLE)
        self.heartbeat()

    def set_state(self, state: str, pipeline: Any = None) -> None:
        if pipeline is not None or state != self._state:
            super().set_state(state, pipeline)

    def is_suspended(self) -> bool:
        """Whether workers are suspended, so that no job may begin. Raises RedisError."""
        is_suspended = bool(suspension.is_suspended(self.connection))
        if is_suspended:
            self._ask_again_at = 0.0
        return is_suspended

    def check_for_suspension(self, burst: bool) -> None:
        """Wait while workers are suspended; in burst mode, stop. rq_worker.py checks again when it has a job."""
        if time.monotonic() >= self._ask_again_at:
            super().check_for_suspension(burst)
            self._ask_again_at = time.monotonic() + SUSPENSION_SECONDS

    def stay_unregistered(self) -> None:
        """Stop registering again: the worker is about to sign off."""
        self._is_signing_off = True
