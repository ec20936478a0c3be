"""Running totals for /metrics: what ended jobs, retries and upstream calls add up to (decisions/0011).

Rows say themselves whether they are counted. The sweeper counts new ones in batches: adding them to the totals and
marking them as counted is one transaction, so a total is exact, whatever process dies when.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import connection, transaction

from config.sql import first_row, try_lock
from jobs.backends.faults import Faults
from jobs.lifecycle.history import Move
from jobs.models import AiCall, AiJob

Row = dict[str, Any]

COUNT_SECONDS = 5.0
COUNT_BATCH = 2000  # of jobs and of calls, in one transaction
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300)
LOCK = "jobs.totals"  # one process counts at a time


@dataclass(frozen=True)
class Figure:
    """A counter, or with `buckets` a histogram, as /metrics shows it. `name` is without prefix and suffix."""

    name: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()

    @cached_property
    def bounds(self) -> list[str]:
        """The upper bounds of the buckets, as labels."""
        return [*(f"{bound:g}" for bound in self.buckets), "+Inf"]

    @property
    def sum_name(self) -> str:
        """Under what the sum of a histogram's values is kept; its counts are kept under its name."""
        return f"{self.name}_sum"


JOBS = Figure("jobs_finished", "Jobs that ended; code says why they failed.", ("kind", "status", "code"))
RETRIES = Figure("job_retries", "Runs that gave the job back, and failed jobs asked for again.", ("kind", "reason"))
WAIT = Figure("job_wait_seconds", "From being ready to run to being run, for each attempt.", ("kind",), SECONDS)
RUN = Figure("job_run_seconds", "How long attempts ran.", ("kind",), SECONDS)
CALLS = Figure("calls", "Upstream calls.", ("model", "purpose", "outcome"))
ERRORS = Figure("call_errors", "Upstream calls that failed.", ("model", "code"))
TOKENS = Figure("tokens", "Tokens of upstream calls.", ("model", "type"))
COST = Figure("cost_dollars", "What upstream calls cost, in US dollars.", ("model",))
UNPRICED = Figure("unpriced_calls", "Upstream calls to models without a known price.", ("model",))
RATE_WAIT = Figure("rate_wait_seconds", "What upstream calls waited for the rate.", ("model", "purpose"), SECONDS)
FIRST_TOKEN = Figure("first_token_seconds", "From an upstream call to its first token.", ("model", "purpose"), SECONDS)
CALL = Figure("call_seconds", "How long upstream calls took.", ("model", "purpose"), SECONDS)
FAULTS = Figure("background_failures", "Failures of workers' background tasks, which went on.", ("task",))
FIGURES = (JOBS, RETRIES, WAIT, RUN, CALLS, ERRORS, TOKENS, COST, UNPRICED, RATE_WAIT, FIRST_TOKEN, CALL, FAULTS)
SWEPT_AT = "swept_at"  # not a figure: when a worker last completed a sweep, in seconds since 1970 by Postgres' clock

_ENDS = {*AiJob.Status.values} - {*AiJob.ACTIVE}
_JOB_FIELDS = ("pk", "kind", "history", "uncounted")
_CALL_FIELDS = (
    "pk", "model", "purpose", "outcome", "error_code", "input_tokens", "cached_tokens", "output_tokens",
    "cost", "governor_ms", "first_token_ms", "duration_ms",
)  # fmt: skip


def count(faults: Faults) -> bool:
    """Add rows that are not counted yet to the totals, unless another process is at it. Whether more are left.

    A row that cannot be read is noted and left out for good, so that it stops no other.
    """
    with transaction.atomic():
        if not try_lock(LOCK):
            return False
        jobs = _lock(AiJob.objects.filter(uncounted__gt=0), _JOB_FIELDS)
        calls = _lock(AiCall.objects.filter(is_counted=False), _CALL_FIELDS)
        _sums(jobs, calls, faults).save()
        AiJob.objects.filter(pk__in=[job["pk"] for job in jobs]).update(uncounted=0)
        AiCall.objects.filter(pk__in=[call["pk"] for call in calls]).update(is_counted=True)
    return COUNT_BATCH in (len(jobs), len(calls))


def count_faults(faults: Faults) -> None:
    """Add the failures of this process's background tasks to the totals."""
    sums, counts = Sums(), faults.take()
    for task, failures in counts.items():
        sums.add_faults(task, failures)
    try:
        sums.save()
    except Exception:
        faults.put_back(counts)
        raise


def note_sweep() -> None:
    """Note that a worker completed a sweep just now."""
    first_row(
        "INSERT INTO jobs_total (name, labels, value) VALUES (%s, '{}', extract(epoch FROM clock_timestamp()))"
        " ON CONFLICT (name, labels) DO UPDATE SET value = excluded.value RETURNING value",
        [SWEPT_AT],
    )


def sweep_age() -> float | None:
    """Seconds since any worker last completed a sweep; None if none ever did."""
    age = "SELECT extract(epoch FROM clock_timestamp()) - value FROM jobs_total WHERE name = %s AND labels = '{}'"
    row = first_row(age, [SWEPT_AT])
    return float(row[0]) if row else None


def _sums(jobs: list[Row], calls: list[Row], faults: Faults) -> Sums:
    sums = Sums()
    for job in jobs:
        try:
            for move in job["history"][-job["uncounted"] :]:
                sums.add_move(job["kind"], move)
        except Exception as error:
            faults.note("count", error, job["pk"])
    for call in calls:
        sums.add_call(call)
    return sums


def _lock(rows: Any, fields: tuple[str, ...]) -> list[Row]:
    # Rows that are being written at this moment are left for the next time.
    return list(rows.select_for_update(skip_locked=True, no_key=True).order_by("pk").values(*fields)[:COUNT_BATCH])


class Sums:
    """What a batch adds to the totals."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, tuple[str, ...]], float] = defaultdict(float)

    def add_move(self, kind: str, move: Move) -> None:
        """Count one move of a job."""
        outcome, code = move["outcome"], move.get("code", "")
        if outcome in _ENDS:
            self._add(JOBS, kind, outcome, code)
        else:
            self._add(RETRIES, kind, code or outcome)
        if "ran" in move:
            self._observe(WAIT, move["waited"], kind)
            self._observe(RUN, move["ran"], kind)

    def add_call(self, call: Row) -> None:
        """Count one upstream call."""
        model, purpose = call["model"], call["purpose"]
        self._add(CALLS, model, purpose, call["outcome"])
        self._observe(RATE_WAIT, call["governor_ms"] / 1000, model, purpose)
        self._observe(CALL, call["duration_ms"] / 1000, model, purpose)
        if call["first_token_ms"] is not None:
            self._observe(FIRST_TOKEN, call["first_token_ms"] / 1000, model, purpose)
        if call["outcome"] == AiCall.Outcome.FAILED:
            self._add(ERRORS, model, call["error_code"])
        self._add(TOKENS, model, "input", by=call["input_tokens"] - call["cached_tokens"])
        self._add(TOKENS, model, "cached_input", by=call["cached_tokens"])
        self._add(TOKENS, model, "output", by=call["output_tokens"])
        if call["cost"] is None:
            self._add(UNPRICED, model)
        else:
            self._add(COST, model, by=float(call["cost"]))

    def add_faults(self, task: str, failures: int) -> None:
        """Count failures of a background task."""
        self._add(FAULTS, task, by=failures)

    def save(self) -> None:
        """Add it, in the caller's transaction."""
        # In one order: two transactions that lock the same rows in different orders wait for each other.
        rows = [(name, list(labels), value) for (name, labels), value in sorted(self._values.items())]
        if not rows:
            return
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO jobs_total (name, labels, value) VALUES (%s, %s, %s)"
                " ON CONFLICT (name, labels) DO UPDATE SET value = jobs_total.value + excluded.value",
                rows,
            )

    def _add(self, figure: Figure, *labels: str, by: float = 1) -> None:
        self._values[figure.name, labels] += by

    def _observe(self, figure: Figure, value: float, *labels: str) -> None:
        bound = figure.bounds[bisect_left(figure.buckets, value)]
        self._values[figure.name, (*labels, bound)] += 1
        self._values[figure.sum_name, labels] += value
