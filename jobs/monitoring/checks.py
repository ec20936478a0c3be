"""What `manage.py check`, every start of a worker and /readyz check."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from rq import Worker, defaults

from jobs.backends import connections, upstream
from jobs.monitoring import totals
from llm.prices import cost_of

SWEEP_SECONDS = 60.0  # without a completed sweep, after which /readyz tells


def prices_are_known(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A budget in money holds only for models with a known price: calls of the others would count as free."""
    names = [name for name in dir(settings) if name.startswith("BUDGET_") and name.endswith("_DOLLARS")]
    budgets = [name for name in names if getattr(settings, name)]
    unknown = [model for model in sorted(upstream.models()) if cost_of(model, 1, 0, 1) is None]
    return [
        Error(
            f"{', '.join(budgets)}: no price is known for {model}.",
            hint="Add it to platform/llm/prices.py, or set the budget in tokens.",
            id="jobs.E001",
        )
        for model in unknown
        if budgets
    ]


def queues_have_our_prefix(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """RQ reads its prefix from the environment when it is first imported, which must not be before the settings."""
    if connections.key("rq") == defaults.RQ_KEY_PREFIX:
        return []
    return [
        Error(f"RQ was imported before the settings: its keys begin with {defaults.RQ_KEY_PREFIX}.", id="jobs.E002")
    ]


def redis_answers() -> bool:
    """Whether Redis answers. RedisError if not."""
    with connections.redis().fail_fast():
        return bool(connections.redis().ping())


def has_workers() -> bool:
    """Whether any worker is registered. RedisError when Redis is away."""
    with connections.redis().fail_fast():
        return registered_workers() > 0


def registered_workers() -> int:
    """How many workers are registered. RedisError when Redis is away.

    Read from RQ's keys: Worker.all() fails for all when one entry cannot be read, and Worker.count() includes the dead.
    """
    redis = connections.redis()
    if redis.type(Worker.redis_workers_keys) != b"set":
        return 0
    names: Any = redis.smembers(Worker.redis_workers_keys)
    prefix = Worker.redis_worker_namespace_prefix.encode()
    return sum(name.startswith(prefix) and redis.type(name) == b"hash" for name in names)


def is_swept() -> bool:
    """Whether workers have completed a sweep lately: they take lost jobs back and enqueue retries."""
    age = totals.sweep_age()
    return age is not None and age < SWEEP_SECONDS + settings.JOBS_SWEEP_SECONDS
