"""How many jobs a person and the whole platform may have active, and what they may spend in a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from accounts.people import SYSTEM, Person
from config import sql
from jobs import kinds
from jobs.lifecycle import transitions
from jobs.models import AiJob, Spent
from llm.errors import ErrorKind

RETRY_SECONDS = 5
QUEUED = timedelta(seconds=1)  # a job that waited longer found no worker with a free slot
SAMPLED, FEWEST_SAMPLES, MOST_SAMPLES = timedelta(seconds=60), 10, 50


class LimitReached(Exception):
    """A limit refuses a job; `is_ours`: not the person's own. `retry_after` (seconds) says when to try again."""

    def __init__(self, code: str, message: str, retry_after: int, *, is_ours: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        self.is_ours = is_ours


@dataclass(frozen=True)
class Budget:
    """The most that may be spent in a day (UTC): tokens and US dollars; 0 means no limit."""

    tokens: int
    dollars: Decimal

    def left(self, spent: Spent | None) -> float | None:
        """The share of it that is left for today after what was spent, 0 to 1; None where there is no limit."""
        if not self.tokens and not self.dollars:
            return None
        shares = [spent.tokens / self.tokens] if spent and self.tokens else []
        shares += [float(spent.dollars / self.dollars)] if spent and self.dollars else []
        return max(0.0, 1 - max(shares, default=0.0))


def check_admission(person: Person, queue: str) -> None:
    """Raise LimitReached unless this person may start another job now. Runs in the job's transaction."""
    sql.lock(f"jobs.admission:{person.group}")  # the person's other calls wait, so that counting is exact
    if AiJob.objects.of(person).active().count() >= settings.JOBS_PER_PERSON:
        message = f"You have {settings.JOBS_PER_PERSON} answers under way. Wait for one of them to be finished."
        raise LimitReached("too_many_active", message, RETRY_SECONDS)
    check_budgets(person)
    too_long = (expected_wait(queue) - timedelta(seconds=settings.JOBS_MAX_WAIT_SECONDS)).total_seconds()
    if too_long > 0:
        message = "Too many questions are waiting at the moment. Please try again in a while."
        raise LimitReached("saturated", message, max(RETRY_SECONDS, round(too_long)), is_ours=True)


def has_budgets() -> bool:
    """Whether any budget is set."""
    return any((budget.tokens or budget.dollars) for budget in (_personal(), _total()))


def check_budgets(person: Person) -> None:
    """Raise LimitReached unless there are money and tokens left for this person's calls today."""
    if not has_budgets():
        return
    spent = _spent_today(Spent.ALL, Spent.by(person))
    if person != SYSTEM and _personal().left(spent.get(Spent.by(person))) == 0:
        raise LimitReached(
            "budget", "Your AI budget for today is used up. It is renewed at midnight UTC.", seconds_to_midnight()
        )
    if _total().left(spent.get(Spent.ALL)) == 0:
        message = "The platform's AI budget for today is used up. It is renewed at midnight UTC."
        raise LimitReached("platform_budget", message, seconds_to_midnight(), is_ours=True)


def left_today(person: Person) -> float | None:
    """The share of this person's budget that is left today, 0 to 1; None where there is no limit."""
    scope = Spent.by(person)
    return _personal().left(_spent_today(scope).get(scope))


def next_midnight() -> datetime:
    """When budgets are renewed."""
    return midnight() + timedelta(days=1)


def waiting_for_worker() -> Q:
    """The condition for pending jobs that a worker with a free slot would run now.

    Others are no backlog, however long they wait: the job is in quarantine, or waits for the upstream to recover; this
    release does not know its kind or its queue; or its time has just come and no sweep has enqueued it since.
    """
    sweep = timedelta(seconds=2 * settings.JOBS_SWEEP_SECONDS)
    ready = Q(run_after__isnull=True) | Q(run_after__lte=Now())
    swept = Q(enqueued_at__isnull=False) | Q(run_after__isnull=True) | Q(run_after__lte=Now() - sweep)
    is_held = Q(crashes__gte=transitions.QUARANTINED) | Q(error_code=ErrorKind.PAUSED.value.code)
    known = Q(kind__in=kinds.names(), queue__in=settings.JOBS_QUEUES)
    return Q(status=AiJob.Status.PENDING) & ready & swept & known & ~is_held


def expected_wait(queue: str) -> timedelta:
    """How long a new job of this queue would wait for a worker: at least as long as the oldest has been ready.

    Questions are accepted while jobs wait for something else than a worker, during an outage for instance.
    """
    ready = AiJob.objects.filter(waiting_for_worker(), queue=queue)
    since = Coalesce("run_after", "created_at")
    found = ready.aggregate(oldest=Min(since), count=Count("pk"), now=Max(Now()))  # one clock, Postgres'
    if found["oldest"] is None:
        return timedelta()
    wait: timedelta = found["now"] - found["oldest"]
    if wait < QUEUED:
        return wait
    return max(wait, found["count"] * _time_for_each(queue, found["oldest"], found["now"]))


def _time_for_each(queue: str, oldest: datetime, now: datetime) -> timedelta:
    """Mean time between job starts in this queue over the last minute, counting only jobs that had to wait.

    Zero with fewer than FEWEST_SAMPLES of them.
    """
    created = (oldest - SAMPLED, oldest)
    before = AiJob.objects.filter(queue=queue, created_at__range=created, started_at__gt=now - SAMPLED)
    times = before.order_by("-created_at").values_list("created_at", "started_at")[:MOST_SAMPLES]
    begun = [started for asked, started in times if started and started - asked >= QUEUED]
    return (now - min(begun)) / len(begun) if len(begun) >= FEWEST_SAMPLES else timedelta()


def _spent_today(*scopes: str) -> dict[str, Spent]:
    return {spent.scope: spent for spent in Spent.objects.filter(day=midnight().date(), scope__in=scopes)}


def _personal() -> Budget:
    return Budget(settings.BUDGET_PERSON_TOKENS, settings.BUDGET_PERSON_DOLLARS)


def _total() -> Budget:
    return Budget(settings.BUDGET_TOTAL_TOKENS, settings.BUDGET_TOTAL_DOLLARS)


def midnight() -> datetime:
    """When today's budgets began: their days are days in UTC."""
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


def seconds_to_midnight() -> int:
    """Seconds until budgets are renewed."""
    return round((next_midnight() - timezone.now()).total_seconds())
