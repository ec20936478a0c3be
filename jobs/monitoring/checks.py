"""What `manage.py check` and every start of a worker look at."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from jobs.backends import upstream
from llm.prices import cost_of

BUDGETS = ("BUDGET_PERSON_DOLLARS", "BUDGET_TOTAL_DOLLARS", "BUDGET_LANDING_DOLLARS")


def prices_are_known(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A budget in money holds only for models whose price is known: the calls of others would count as free."""
    budgets = [name for name in BUDGETS if getattr(settings, name)]
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
