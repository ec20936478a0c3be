"""One run of a job, from the claim to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, ParamSpec, TypeVar
from uuid import UUID

from django.utils import timezone

from accounts.people import Person
from config import logs
from jobs import actions, kinds, limits
from jobs.backends import db, upstream
from jobs.events import outcome, publish
from jobs.events.batcher import Outbox
from jobs.events.schema import Event, Progress, Retrying, Started, Usage
from jobs.lifecycle import transitions
from jobs.lifecycle.transitions import Failure, LostRun
from jobs.limits import LimitReached
from jobs.models import AiJob
from jobs.worker import call_log, leases, loop_thread, throttle
from llm.calls import Call
from llm.errors import Kind, LlmError
from llm.governor import Caller

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

Stop = Literal["cancelled", "lost", "released"]

DEADLINE = Failure("deadline", "This took too long and was stopped. Please try again.", retryable=True, tries=3)
INTERNAL = "Something went wrong on our side. Please try again."
DATABASE_AWAY = "Something went wrong on our side. Your question is kept."
LONGEST_DELAY = 60.0  # seconds between two runs


async def run_job(job_id: str) -> None:
    """Do the job, if it is still to be done. What the queue calls; the id is all it knows.

    Cancelling this coroutine, as RQ's stop command does, cancels the job, as its person could.
    """
    run = asyncio.create_task(_run(UUID(job_id)))
    try:
        await asyncio.shield(run)
    except asyncio.CancelledError:
        await actions.cancel(AiJob(pk=UUID(job_id)))
        await asyncio.wait({run})
        raise


async def _run(job_id: UUID) -> None:
    job = await db.call(transitions.claim, job_id, worker_name())
    if job is None:
        logger.info("job %s: nothing to do, another worker was first or it has ended", job_id)
        return
    with logs.about(**job.log_fields):
        await Run(job).execute()


def worker_name() -> str:
    """Who runs the job, for the row: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Run:
    """One attempt at a job: what a surface's `run` gets to work with.

    `job` is the claimed row, to be read only. `llm` makes upstream calls that are entered in the account.
    """

    def __init__(self, job: AiJob) -> None:
        self.job = job
        self.kind = kinds.get(job.kind)
        self.person = Person(user_id=job.owner_id, visitor=job.visitor)
        self.llm = upstream.llm(self._record, Caller(self.kind.priority, self.person.group))
        self.stop: Stop | None = None
        self._outbox = Outbox(job)
        self._text: list[str] = []
        self._calls: list[Call] = []
        self._entries: list[asyncio.Future[None]] = []  # calls on their way into the account
        self._work: asyncio.Task[kinds.Result] | None = None
        self._is_erased = False

    def progress(self, step: Literal["rewriting", "searching", "answering"]) -> None:
        """Tell the person what is being done."""
        self._outbox.add(Progress(step=step))

    def show(self, text: str) -> None:
        """Stream a piece of the answer to the person."""
        self._text.append(text)
        self._outbox.add_text(text)

    async def db(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function that uses the database."""
        return await db.call(fn, *args, **kwargs)

    def interrupt(self, stop: Stop) -> None:
        """Stop working: the upstream connection is closed at once. To be called again until the run has ended."""
        self.stop = self.stop or stop
        if self._work:
            self._work.cancel()

    async def execute(self) -> None:
        """Work until the job has ended or is handed back. Never raises for a failed job."""
        try:
            with leases.over(self):
                await self._attempt()
        except LostRun as lost:
            logger.info("%s: another run has taken over", lost)
        finally:
            await self._outbox.close()
            if self._is_erased:
                await self.db(publish.forget, [self.job])

    async def _attempt(self) -> None:
        self._outbox.add(Started())
        if self.job.cancel_requested:
            self.stop = "cancelled"
            return await self._stopped()
        self._work = asyncio.create_task(self._work_within_budget())
        await self._until_deadline(self._work)
        if self._entries:
            await asyncio.wait(self._entries)
        try:
            await self._settle(self._work)
        except LostRun:
            raise
        except Exception as error:  # the result could not be saved
            await self._failed(_reason(error))

    async def _until_deadline(self, work: asyncio.Task[kinds.Result]) -> None:
        began = time.monotonic()
        while not work.done() and (left := self.kind.deadline + self.llm.waited - (time.monotonic() - began)) > 0:
            await asyncio.wait({work}, timeout=left)
        await loop_thread.end(work)

    async def _work_within_budget(self) -> kinds.Result:
        if self.kind.calls_upstream and limits.has_budgets():
            await self.db(limits.check_budgets, self.person)
        return await self.kind.run(self)

    async def _settle(self, work: asyncio.Task[kinds.Result]) -> None:
        if work.cancelled():
            await (self._stopped() if self.stop else self._failed(DEADLINE))
        elif error := work.exception():
            await self._failed(_reason(error), getattr(error, "retry_after", None))
        else:
            await self._end(transitions.complete, work.result(), self.kind.save)

    async def _stopped(self) -> None:
        match self.stop:
            case "cancelled":
                partial = {"answer": "".join(self._text), "citations": []} if self._text else None
                await self._end(transitions.cancel_run, partial, self.kind.save)
            case "released":
                await db.insist(transitions.release, self.job)

    async def _failed(self, failure: Failure, retry_after: float | None = None) -> None:
        is_last = self.job.failures + 1 >= min(failure.tries, self.job.max_attempts) and not failure.is_free
        if not failure.retryable or is_last:
            return await self._end(transitions.fail, failure)
        if failure.is_free:
            throttle.note_pause()
        run_after = timezone.now() + timedelta(seconds=_delay(self.job.failures, retry_after))
        await db.insist(transitions.defer, self.job, failure, run_after)
        self._outbox.add(Retrying(reason=failure.message, retryAt=run_after.isoformat(timespec="milliseconds")))
        logger.warning("job %s runs again at %s: %s", self.job.pk, run_after, failure.code)

    async def _end(self, move: Callable[..., AiJob], *args: Any) -> None:
        ended = await db.insist(move, self.job, *args)
        self._is_erased = ended.is_erased
        self._outbox.add(await self._final_event(ended))
        logger.info("job %s %s after attempt %d", ended.pk, ended.status, ended.attempt)

    async def _final_event(self, ended: AiJob) -> Event:
        if ended.attempt > 1:  # what earlier attempts used stands in the account only
            return await db.insist(outcome.final_event, ended)
        return outcome.final_event(ended, _usage(self._calls))

    def _record(self, call: Call) -> None:
        self._calls.append(call)
        self._entries.append(call_log.ledger().enter(self.job, call))


def _usage(calls: list[Call]) -> Usage:
    return Usage(inputTokens=sum(c.input_tokens for c in calls), outputTokens=sum(c.output_tokens for c in calls))


def _reason(error: BaseException) -> Failure:
    if isinstance(error, LimitReached | kinds.Refusal):
        return Failure(error.code, str(error))
    if isinstance(error, LlmError):
        kind = error.kind.value
        if error.kind is Kind.INVALID:  # it was asked for again at once; from here on a person decides
            return Failure(kind.code, kind.message, error.detail, retryable=True, tries=1)
        return Failure(kind.code, kind.message, error.detail, kind.passing, is_free=error.kind is Kind.PAUSED)
    if isinstance(error, db.AWAY):  # not the job's fault, and it passes: no reason to give up soon
        return Failure("database_away", DATABASE_AWAY, f"{type(error).__name__}: {error}"[:300], retryable=True)
    logger.error("a run failed", exc_info=error)
    return Failure("internal", INTERNAL, f"{type(error).__name__}: {error}"[:300], retryable=True, tries=3)


def _delay(failures: int, retry_after: float | None) -> float:
    """Seconds until the next run: what the upstream asked for, or doubling with jitter so that waiters spread."""
    if retry_after is not None:
        return retry_after + random.uniform(0, 1)
    return random.uniform(0.5, 1.0) * min(LONGEST_DELAY, 2.0 ** (failures + 1))
