"""How a worker stays known in Redis: `rq info`, django-rq's pages and /readyz see it while its event loop turns."""

from __future__ import annotations

from typing import Any

from rq.utils import now
from rq.worker import BaseWorker
from rq.worker.base import WorkerStatus

ALIVE_SECONDS, BEAT_SECONDS = 90, 1.0


class RegisteredWorker(BaseWorker):
    """Registered for a short while at a time, and again after Redis was emptied."""

    _is_signing_off = False

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
            self.set_state(WorkerStatus.IDLE)
        self.heartbeat()

    def stay_unregistered(self) -> None:
        """It is about to sign off: not to be registered again."""
        self._is_signing_off = True
