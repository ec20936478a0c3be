from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out
from django.core.checks import register
from django.http import HttpRequest


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "AI jobs"

    def ready(self) -> None:
        """Register the engine's own kind and checks, restrict RQ, and close the sockets of people who sign out."""
        from config import health
        from jobs import kinds, retention
        from jobs.backends import entries
        from jobs.monitoring import checks, totals

        entries.restrict_rq()
        kinds.register(retention.PRUNING)
        retention.register(retention.JOBS, retention.TICKETS, retention.SESSIONS, retention.SPENT)
        register(checks.prices_are_known)
        register(checks.queues_have_our_prefix)
        health.register("redis", checks.redis_answers)
        health.register("worker", checks.has_workers)
        health.register("sweeper", checks.is_swept)
        health.register_figure("sweepAgeSeconds", totals.sweep_age)
        user_logged_out.connect(_close_sockets)


def _close_sockets(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    from accounts import people, sockets
    from jobs.events import publish

    if person := people.from_user(user):
        publish.tell_signed_out(person, sockets.fingerprint(request.session.session_key))
