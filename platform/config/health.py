"""Liveness and readiness checks for load balancers and supervisors."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse


def health_checks(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Outermost middleware: answers health checks, which come from inside, without TLS and with any Host."""

    def respond(request: HttpRequest) -> HttpResponse:
        return PAGES.get(request.path, get_response)(request)

    return respond


def alive(request: HttpRequest) -> JsonResponse:
    """Answer 200. It depends on nothing but this process."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 if every check passes (Postgres, migrations, registered checks), else 503 with the result of each.

    The registered figures are told in both cases; None where one cannot be read.
    """
    checks = {name: _passes(check) for name, check in _checks.items()}
    ok = all(checks.values())
    told = {name: _read(figure) for name, figure in _figures.items()}
    answer = {"status": "ok" if ok else "unavailable", "checks": checks, **told}
    return JsonResponse(answer, status=200 if ok else 503)


PAGES = {"/healthz": alive, "/readyz": ready}


def database() -> bool:
    connection.ensure_connection()
    return True


def migrations() -> bool:
    if connection.connection is None:
        return False  # the check `database` failed; do not wait for a connection again
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


_checks: dict[str, Callable[[], bool]] = {"database": database, "migrations": migrations}


_figures: dict[str, Callable[[], float | None]] = {}


def register_figure(name: str, figure: Callable[[], float | None]) -> None:
    """Add a figure to the answer of /readyz. Call this from AppConfig.ready()."""
    _figures[name] = figure


def register(name: str, check: Callable[[], bool]) -> None:
    """Add a check to /readyz. It fails if it returns False or raises. Call this from AppConfig.ready()."""
    _checks[name] = check


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:
        return False


def _read(figure: Callable[[], float | None]) -> float | None:
    try:
        return figure()
    except Exception:
        return None
