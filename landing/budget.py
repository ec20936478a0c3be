"""The landing assistant's daily budget (UTC). Anybody can use it without signing in, so the limit must be exact.

An answer is admitted if today's spending, plus the maximum for all active answers and this one, stays within the
budget. Every attempt checks again. So no call is ever made beyond the budget.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from config import sql
from jobs import limits
from jobs.limits import LimitReached
from jobs.models import Spent
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


def admit(kind: str, more: int = 0) -> None:
    """Raise LimitReached unless the budget allows all active jobs and this many more.

    Runs in the transaction that submits a job, as late as possible: until it ends, no other job is admitted.
    """
    sql.lock("landing.budget")
    _check(kind, more)


def check_run(kind: str) -> None:
    """Raise LimitReached unless the budget allows all active jobs. Runs before a job makes its call."""
    _check(kind, 0)


def _check(kind: str, more: int) -> None:
    if not _spending(kind, more).is_within_budget:
        message = "The assistant has reached its limit for today. It is back after midnight UTC."
        raise LimitReached("landing_budget", message, limits.seconds_to_midnight(), is_ours=True)


# One statement, so that all figures are of the same moment: of an answer that ends meanwhile, either its maximum counts
# or its calls. The calls of a running attempt are covered by its maximum. Jobs that answer have a subject; saying so
# lets Postgres read the active ones by the index of one_active_job_per_subject.
_SPENDING = """
WITH active AS (
    SELECT id, status, attempt FROM jobs_aijob
    WHERE kind = %(kind)s AND status IN ('pending', 'running') AND subject <> ''
), running AS (
    SELECT sum(call.input_tokens + call.output_tokens) AS tokens, sum(call.cost) AS dollars
    FROM active JOIN jobs_aicall call ON call.job_id = active.id AND call.attempt = active.attempt
    WHERE active.status = 'running' AND call.started_at >= %(midnight)s
)
SELECT (SELECT count(*) FROM active), coalesce(spent.tokens, 0) - coalesce(running.tokens, 0),
       coalesce(spent.dollars, 0) - coalesce(running.dollars, 0)
FROM running LEFT JOIN jobs_spent spent ON spent.day = %(day)s AND spent.scope = %(scope)s
"""


def _spending(kind: str, more: int) -> _Spending:
    """Return today's spending plus the maximum of all active answers and this many more."""
    midnight = limits.midnight()
    values = {"kind": kind, "midnight": midnight, "day": midnight.date(), "scope": Spent.of_kind(kind)}
    row = sql.first_row(_SPENDING, values)
    assert row is not None, "an aggregate has a row"
    active, tokens, dollars = row
    answers = active + more
    return _Spending(
        tokens=int(tokens) + answers * (PROMPT_TOKENS + ANSWER_TOKENS), dollars=dollars + answers * _max_cost()
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
