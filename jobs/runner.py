"""The name that queue entries of the previous release carry. To be deleted with the next release."""

from jobs.tasks import run_job

__all__ = ["run_job"]
