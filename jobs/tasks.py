"""What RQ calls. The name `jobs.tasks.run_job` stands in Redis, so it changes only across two releases."""

from __future__ import annotations

from jobs.worker.run import run_job

__all__ = ["run_job"]
