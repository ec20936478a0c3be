"""For load balancers and supervisors: is this process alive, and can it serve?"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Worker


def health_checks(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The outermost middleware: checks come from inside, without TLS and under any Host, and must get through."""

    def respond(request: HttpRequest) -> HttpResponse:
        return CHECKS.get(request.path, get_response)(request)

    return respond


def alive(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers; it depends on nothing else."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when Postgres, its migrations, Redis and at least one worker are there; 503 says what is missing."""
    checks = {check.__name__: _passes(check) for check in (database, migrations, redis, worker)}
    ok = all(checks.values())
    return JsonResponse({"status": "ok" if ok else "unavailable", "checks": checks}, status=200 if ok else 503)


CHECKS = {"/healthz": alive, "/readyz": ready}


def database() -> bool:
    connection.ensure_connection()
    return True


def migrations() -> bool:
    if connection.connection is None:
        return False  # `database` has waited for it already
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def redis() -> bool:
    return bool(_redis().ping())


def worker() -> bool:
    return bool(Worker.all(connection=_redis()))  # its count() includes the dead


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:
        return False


def _redis() -> Redis:
    timeout = settings.REDIS_TIMEOUT
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
    )
