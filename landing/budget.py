"""The landing assistant's daily budget (UTC). Anybody can use it without signing in, so the limit must be exact.

An answer is admitted if today's spending, plus the maximum for all active answers and this one, stays within the
budget. Every attempt checks again. So no call is ever made beyond the budget.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db.models import F, Sum

from config import sql
from jobs import limits
from jobs.limits import LimitReached
from jobs.models import AiCall, AiJob
from landing.pipeline import ANSWER_TOKENS, HISTORY_TOKENS
from landing.rows import FACT_TOKENS
from llm.prices import cost_of

logger = logging.getLogger(__name__)

# The history is estimated at four ASCII characters per token, but some text, such as digits, needs a token per
# character. 1800 covers rules and question.
PROMPT_TOKENS = FACT_TOKENS + 4 * HISTORY_TOKENS + 1800


@dataclass(frozen=True)
class _Spending:
    tokens: int
    dollars: Decimal

    @property
    def is_within_budget(self) -> bool:
        tokens, dollars = settings.BUDGET_LANDING_TOKENS, settings.BUDGET_LANDING_DOLLARS
        return not (0 < tokens < self.tokens or 0 < dollars < self.dollars)


def admit(kind: str) -> None:
    """Raise LimitReached unless the budget allows one more job. Runs in the transaction that submits it."""
    sql.lock("landing.budget")  # one admission at a time
    _check(kind, AiJob.objects.filter(kind=kind).active().count() + 1)


def check_run(kind: str) -> None:
    """Raise LimitReached unless the budget allows all active jobs. Runs before a job makes its call."""
    _check(kind, AiJob.objects.filter(kind=kind).active().count())


def _check(kind: str, answers: int) -> None:
    if not _spending(kind, answers).is_within_budget:
        message = "The assistant has reached its limit for today. It is back after midnight UTC."
        raise LimitReached("landing_budget", message, limits.seconds_to_midnight(), is_ours=True)


def _spending(kind: str, answers: int) -> _Spending:
    """Return today's spending plus the maximum for this many active answers."""
    calls = AiCall.objects.filter(job__kind=kind, started_at__gte=limits.midnight())
    # The calls of a running attempt are covered by its maximum.
    calls = calls.exclude(job__status=AiJob.Status.RUNNING, attempt=F("job__attempt"))
    spent = calls.aggregate(input=Sum("input_tokens"), output=Sum("output_tokens"), dollars=Sum("cost"))
    return _Spending(
        tokens=(spent["input"] or 0) + (spent["output"] or 0) + answers * (PROMPT_TOKENS + ANSWER_TOKENS),
        dollars=(spent["dollars"] or Decimal()) + answers * _max_cost(),
    )


def _max_cost() -> Decimal:
    """Return the maximum cost of one answer. Without a known price, a budget in dollars admits nothing."""
    cost = cost_of(settings.LLM_CHAT_MODEL, PROMPT_TOKENS, 0, ANSWER_TOKENS)
    if cost is None and settings.BUDGET_LANDING_DOLLARS:
        logger.error(
            "BUDGET_LANDING_DOLLARS is set, but the price of %s is unknown: all questions are refused",
            settings.LLM_CHAT_MODEL,
        )
        return Decimal("Infinity")
    return cost or Decimal()
