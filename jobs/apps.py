from typing import Any

from asgiref.sync import async_to_sync
from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out
from django.core.checks import register
from django.http import HttpRequest


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "AI jobs"

    def ready(self) -> None:
        """Register the engine's own kind of job and checks, and hear of those who sign out, on whichever page."""
        from jobs import kinds, retention
        from jobs.monitoring import checks

        kinds.register(retention.PRUNING)
        retention.register(retention.JOBS, retention.TICKETS, retention.SESSIONS)
        register(checks.prices_are_known)
        user_logged_out.connect(_close_sockets)


def _close_sockets(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    from accounts import people, sockets
    from jobs.events import publish

    if person := people.from_user(user):
        async_to_sync(publish.tell_signed_out)(person, sockets.fingerprint(request.session.session_key))
