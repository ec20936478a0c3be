"""Jobs in the Django admin. Django imports this package to find what is registered."""

from jobs.admin import jobs, queues  # noqa: F401
