"""For load balancers and supervisors: is this process alive, and can it serve?"""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse


def health_checks(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The outermost middleware: checks come from inside, without TLS and under any Host, and must get through."""

    def respond(request: HttpRequest) -> HttpResponse:
        return PAGES.get(request.path, get_response)(request)

    return respond


def alive(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers; it depends on nothing else."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when every check passes: Postgres, its migrations, and what apps have registered; 503 names what fails."""
    checks = {name: _passes(check) for name, check in _checks.items()}
    ok = all(checks.values())
    return JsonResponse({"status": "ok" if ok else "unavailable", "checks": checks}, status=200 if ok else 503)


PAGES = {"/healthz": alive, "/readyz": ready}


def database() -> bool:
    connection.ensure_connection()
    return True


def migrations() -> bool:
    if connection.connection is None:
        return False  # `database` has waited for it already
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


_checks: dict[str, Callable[[], bool]] = {"database": database, "migrations": migrations}


def register(name: str, check: Callable[[], bool]) -> None:
    """Add a check to /readyz: it passes when it returns True and raises nothing. Called from AppConfig.ready()."""
    _checks[name] = check


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:
        return False
