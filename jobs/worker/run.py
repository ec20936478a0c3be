"""One attempt at a job, from the claim to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from config import errors, logs, scrub
from jobs import actions, kinds, limits
from jobs.backends.cancellation import end
from jobs.backends.db import AWAY
from jobs.backends.queues import dispatching_to
from jobs.events import outcome, publish
from jobs.events.batcher import Batcher
from jobs.events.schema import Event, Progress, Retrying, Started, Usage
from jobs.kinds import Result
from jobs.lifecycle import history, transitions
from jobs.lifecycle.transitions import Failure, LostRun
from jobs.limits import LimitReached
from jobs.models import AiJob
from jobs.worker.leases import Stop
from jobs.worker.runtime import Runtime
from llm.calls import Call
from llm.errors import ErrorKind, LlmError
from llm.governor import Caller

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

DEADLINE = Failure("deadline", "This took too long and was stopped. Please try again.", retryable=True, tries=3)
INTERNAL = "Something went wrong on our side. Please try again."
DATABASE_AWAY = "Something went wrong on our side. Your question is kept."
BROKEN_OFF = "The AI service broke off its answer several times. Please try again."
PAID_TRIES = 3  # attempts whose answer was paid for and could not be used, in all
NOT_SAVED = "The answer could not be saved. Please ask in other words."
UNSAVABLE = (*errors.UNSTORABLE, IntegrityError)
LONGEST_DELAY = 60.0  # seconds between two attempts


async def run_job(job_id: UUID, runtime: Runtime) -> None:
    """Do the job, if it is still to be done.

    Cancelling this coroutine, as RQ's stop command does, cancels the job, as its person could.
    """
    attempt = asyncio.create_task(_claim_and_run(job_id, runtime))
    try:
        await asyncio.shield(attempt)
    except asyncio.CancelledError:
        await runtime.db.call(actions.cancel, AiJob(pk=job_id))
        await asyncio.wait({attempt})
        raise


async def _claim_and_run(job_id: UUID, runtime: Runtime) -> None:
    job = await runtime.db.call(transitions.claim, job_id, worker_name())
    if job is None:
        logger.info("job %s: nothing to do, another worker was first or it has ended", job_id)
        return
    with logs.about(**job.log_fields), dispatching_to(runtime.dispatch):
        await Attempt(job, runtime).execute()


def worker_name() -> str:
    """Who runs the job, for the row: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class _Run:
    """What the kind's work is handed (jobs.kinds.Run). `shown` collects the text that the person has been shown."""

    def __init__(self, attempt: Attempt, runtime: Runtime) -> None:
        self.job = attempt.job
        self.person = attempt.job.person
        self.llm = runtime.upstream.llm(attempt.record, Caller(attempt.kind.priority, self.person.group))
        self.shown: list[str] = []
        self._events = attempt.events
        self._db = runtime.db

    def progress(self, step: str) -> None:
        """Tell the person which step begins."""
        self._events.add(Progress(step=step))

    def show(self, text: str) -> None:
        """Stream a piece of text to the person."""
        self.shown.append(text)
        self._events.add_text(text)

    async def db(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a synchronous function that uses the database."""
        return await self._db.call(fn, *args, **kwargs)


class Attempt:
    """Carries out one attempt: runs the kind's work, stops it when it must, and settles how the job goes on."""

    def __init__(self, job: AiJob, runtime: Runtime) -> None:
        self.job = job
        self.kind = kinds.get(job.kind)
        self.events = Batcher(job, runtime.sender)
        self.stop: Stop | None = None
        self._runtime = runtime
        self._calls: list[Call] = []
        self._recorded: list[asyncio.Future[None]] = []  # calls whose rows are being written
        self._run = _Run(self, runtime)
        self._work: asyncio.Task[Result] | None = None
        self._is_erased = False

    def interrupt(self, stop: Stop) -> None:
        """Stop working: the upstream connection is closed at once. To be called again until the attempt has ended."""
        self.stop = self.stop or stop
        if self._work:
            self._work.cancel()

    def record(self, call: Call) -> None:
        """Write an upstream call down. Called by the gateway."""
        self._calls.append(call)
        self._recorded.append(self._runtime.calls.record(self.job, call))

    async def execute(self) -> None:
        """Work until the job has ended or is handed back. Never raises for a failed job."""
        try:
            with self._runtime.leases.holding(self):
                await self._run_and_settle()
        except LostRun as lost:
            logger.info("%s: another attempt has taken over", lost)
            self._is_erased = await self._runtime.db.insist(_is_erased, self.job)
        finally:
            await self.events.close()
            if self._is_erased:
                self.events.drop()
                await self._runtime.db.call(publish.forget, [self.job])

    async def _run_and_settle(self) -> None:
        if self.stop:  # the process hands its jobs back: this one was claimed too late
            return await self._stopped()
        self.events.add(Started())
        if self.job.cancel_requested:
            self.stop = "cancelled"
            return await self._stopped()
        self._work = asyncio.create_task(self._work_within_budget())
        await self._until_deadline(self._work)
        if self._recorded:
            await asyncio.wait(self._recorded)
        try:
            await self._settle(self._work)
        except LostRun:
            raise
        except Exception as error:  # the result could not be saved
            await self._failed(_reason(error))

    async def _until_deadline(self, work: asyncio.Task[Result]) -> None:
        began = time.monotonic()
        longest = settings.JOBS_MAX_AGE_SECONDS  # the wait for the upstream's rate does not count, but is bounded, too
        while not work.done():
            left = self.kind.deadline + min(self._run.llm.waited, longest) - (time.monotonic() - began)
            if left <= 0:
                break
            await asyncio.wait({work}, timeout=left)
        await end(work)

    async def _work_within_budget(self) -> Result:
        if self.kind.calls_upstream and limits.has_budgets():
            await self._runtime.db.call(limits.check_budgets, self.job.person)
        return await self.kind.run(self._run)

    async def _settle(self, work: asyncio.Task[Result]) -> None:
        if work.cancelled():
            await (self._stopped() if self.stop else self._failed(DEADLINE))
        elif error := work.exception():
            await self._failed(_reason(error), getattr(error, "retry_after", None))
        else:
            await self._end(transitions.complete, work.result(), self.kind.save)

    async def _stopped(self) -> None:
        match self.stop:
            case "cancelled":
                text = "".join(self._run.shown)
                partial = self.kind.partial(text) if text else None
                await self._end(transitions.cancel_run, partial, self.kind.save)
            case "released":
                await self._runtime.db.insist(transitions.release, self.job)

    async def _failed(self, failure: Failure, retry_after: float | None = None) -> None:
        failure = self._bounded_by_price(failure)
        is_last = self.job.failures + 1 >= min(failure.tries, self.job.max_attempts) and not failure.is_free
        if not failure.retryable or is_last:
            return await self._end(transitions.fail, failure)
        if failure.is_free:
            self._runtime.upstream.note_pause()
            if self._is_too_old():
                return await self._end(transitions.fail, transitions.GIVEN_UP)
        delay = timedelta(seconds=_delay(self.job.failures, retry_after))
        await self._runtime.db.insist(transitions.defer, self.job, failure, delay)
        run_after = timezone.now() + delay
        self.events.add(Retrying(reason=failure.message, retryAt=run_after.isoformat(timespec="milliseconds")))
        logger.warning("job %s runs again at %s: %s", self.job.pk, run_after, failure.code)

    def _is_too_old(self) -> bool:
        """Whether the job was asked for too long ago to wait for the upstream any longer."""
        waited = (self.job.started_at or timezone.now()) - (self.job.asked_at or self.job.created_at)
        return waited.total_seconds() > settings.JOBS_MAX_AGE_SECONDS

    def _bounded_by_price(self, failure: Failure) -> Failure:
        """Count the attempt if its answer was paid for: text was shown, or it came and could not be read.

        After PAID_TRIES of them the failure is the last one, and the person decides. The price of what goes before an
        answer (an embedding, a rewritten question) is small and is not counted.
        """
        paid = history.paid(self.job)
        is_paid = bool(self._run.shown) or failure.code == ErrorKind.GARBLED.value.code
        if failure.is_free or not is_paid:
            return replace(failure, paid=paid)
        failure = replace(failure, paid=paid + 1)
        if failure.paid < PAID_TRIES or not failure.retryable:
            return failure
        is_upstream = failure.code in {kind.value.code for kind in ErrorKind}
        return replace(failure, tries=1, message=BROKEN_OFF if is_upstream else failure.message)

    async def _end(self, move: Callable[..., AiJob], *args: Any) -> None:
        ended = await self._runtime.db.insist(move, self.job, *args)
        self._is_erased = ended.is_erased
        self.events.add(await self._final_event(ended))
        logger.info("job %s %s after attempt %d", ended.pk, ended.status, ended.attempt)

    async def _final_event(self, ended: AiJob) -> Event:
        if ended.attempt > 1:  # the tokens of earlier attempts are known to the database only
            return await self._runtime.db.insist(outcome.final_event, ended)
        used = Usage(
            inputTokens=sum(call.input_tokens for call in self._calls),
            outputTokens=sum(call.output_tokens for call in self._calls),
        )
        return outcome.final_event(ended, used)


def _is_erased(job: AiJob) -> bool:
    return AiJob.objects.filter(pk=job.pk, is_erased=True).exists()


def _reason(error: BaseException) -> Failure:
    """Why an attempt failed, and whether the job is tried again."""
    if isinstance(error, LimitReached | kinds.Refusal):
        return Failure(error.code, str(error))
    if isinstance(error, LlmError):
        kind, detail = error.kind.value, scrub.scrubbed(error.detail)  # upstreams quote what they do not like
        if error.kind is ErrorKind.INVALID:  # the gateway has asked again already; from here on a person decides
            return Failure(kind.code, kind.message, detail, retryable=True, tries=1)
        is_paused = error.kind is ErrorKind.PAUSED
        return Failure(kind.code, kind.message, detail, kind.passing, is_free=is_paused, waits_for=error.model[:120])
    if isinstance(error, AWAY):  # not the job's fault, and it passes: no reason to give up soon
        return Failure("database_away", DATABASE_AWAY, scrub.reason(error), retryable=True)
    logger.error("an attempt failed", exc_info=error)
    if isinstance(error, UNSAVABLE):  # it would fail in the same way again, after being paid for again
        return Failure("not_saved", NOT_SAVED, scrub.reason(error), retryable=True, tries=1)
    return Failure("internal", INTERNAL, scrub.reason(error), retryable=True, tries=3)


def _delay(failures: int, retry_after: float | None) -> float:
    """Seconds until the next attempt: what the upstream asked for, or doubling with jitter so that retries spread."""
    if retry_after is not None:
        return retry_after + random.uniform(0, 1)
    return random.uniform(0.5, 1.0) * min(LONGEST_DELAY, 2.0 ** (failures + 1))
