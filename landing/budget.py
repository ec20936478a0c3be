"""What the landing assistant may spend in a day (UTC). Nobody signs in there, so the limit has to be exact.

An answer is admitted when what was spent, with the most that the answers under way and this one can use, stays within
the budget; a run that comes again after a failure asks once more. So no call is ever made beyond it.
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

# The history is estimated at four characters a token, where some scripts have one. The rest: rules and question.
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
    """Raise LimitReached unless one more job of this kind can be paid for. Runs in the transaction that submits it."""
    sql.lock("landing.budget")  # one admission at a time
    _check(kind, AiJob.objects.filter(kind=kind).active().count() + 1)


def check_run(kind: str) -> None:
    """Raise LimitReached unless the admitted jobs, of which one is about to make its call, can be paid for."""
    _check(kind, AiJob.objects.filter(kind=kind).active().count())


def _check(kind: str, answers: int) -> None:
    if not _spending(kind, answers).is_within_budget:
        message = "The assistant has answered all it can for today. It is back after midnight UTC."
        raise LimitReached("landing_budget", message, limits.seconds_to_midnight(), is_ours=True)


def _spending(kind: str, answers: int) -> _Spending:
    """What was spent today, with the most that this many active answers can use."""
    calls = AiCall.objects.filter(job__kind=kind, started_at__gte=limits.midnight())
    # What an answer under way has used in this attempt is within what is set aside for it.
    calls = calls.exclude(job__status=AiJob.Status.RUNNING, attempt=F("job__attempt"))
    spent = calls.aggregate(input=Sum("input_tokens"), output=Sum("output_tokens"), dollars=Sum("cost"))
    return _Spending(
        tokens=(spent["input"] or 0) + (spent["output"] or 0) + answers * (PROMPT_TOKENS + ANSWER_TOKENS),
        dollars=(spent["dollars"] or Decimal()) + answers * _dearest(),
    )


def _dearest() -> Decimal:
    """The most that one answer can cost. Where no price is known, a budget in money admits nothing."""
    cost = cost_of(settings.LLM_CHAT_MODEL, PROMPT_TOKENS, 0, ANSWER_TOKENS)
    if cost is None and settings.BUDGET_LANDING_DOLLARS:
        logger.error("BUDGET_LANDING_DOLLARS: no price is known for %s", settings.LLM_CHAT_MODEL)
        return Decimal("Infinity")
    return cost or Decimal()
