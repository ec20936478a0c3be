"""What a surface tells the engine about its kinds of jobs, and what the engine hands to their work.

Surfaces register their kinds; the engine never imports a surface.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

from django.conf import settings
from django.http import HttpRequest
from rest_framework import serializers

from accounts.people import Person
from jobs.models import AiJob
from llm.client import Llm

P = ParamSpec("P")
T = TypeVar("T")
Result = dict[str, Any]


class Refusal(Exception):
    """Raised by a kind's `run` for work that must not be done any more: the job fails with this code and text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Run(Protocol):
    """One attempt at a job, as the kind's work sees it.

    `job` is the claimed row, to be read only. Upstream calls made through `llm` are recorded and paid for by the job.
    """

    @property
    def job(self) -> AiJob: ...

    @property
    def person(self) -> Person: ...

    @property
    def llm(self) -> Llm: ...

    def progress(self, step: str) -> None:
        """Tell the person which step begins."""

    def show(self, text: str) -> None:
        """Stream a piece of text to the person."""

    async def db(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a synchronous function that uses the database."""
        ...


def _save_nothing(job: AiJob, result: Result) -> Result | None:
    return None


def _admit_anybody(request: HttpRequest, person: Person) -> None:
    return None


@dataclass(frozen=True)
class JobKind:
    """One kind of AI work.

    `run` is a coroutine that gets a Run and returns the result; it uses the database through Run.db alone.
    `save` writes the result into the surface's tables, in the transaction that ends the job. It gets a completed job's
    result, or the partial result of a cancelled one, and returns what the row keeps of it: None for all of it.
    `deadline` bounds one attempt, in seconds of work: waiting for the upstream's rate does not count.
    `priority` decides what is done first, by workers and with the upstream's rate: 0 before 1 before 2.
    `calls_upstream`: no budget holds up a kind that makes no upstream calls.
    `told` names what of the payload goes into the 202 body: ids that the client needs.
    `admit_again` raises LimitReached when a person may not retry a job of this kind now, beside the limits on all jobs.
    """

    name: str
    run: Callable[[Run], Coroutine[Any, Any, Result]]
    save: Callable[[AiJob, Result], Result | None] = _save_nothing
    deadline: float = 180.0
    priority: int = 0
    calls_upstream: bool = True
    told: tuple[str, ...] = ()
    admit_again: Callable[[HttpRequest, Person], None] = _admit_anybody

    @property
    def queue(self) -> str:
        """The queue in which its jobs wait for a worker."""
        return str(settings.JOBS_QUEUES[self.priority])

    @property
    def surface(self) -> str:
        """The surface that registered it, by the first part of its name."""
        return self.name.partition(".")[0]

    def partial(self, text: str) -> Result | None:
        """The result of a run that was cancelled after it had shown this text; None for kinds that keep none."""
        return None

    def text(self, result: Result) -> str:
        """The text of a result; "" for kinds without one."""
        return ""

    def shown(self, result: Result) -> dict[str, Any]:
        """What of a result goes over the wire, in the job and in its final event."""
        return {"result": result}

    def fields(self) -> dict[str, serializers.Field]:
        """The fields of `shown`, for the API's schema."""
        return {"result": serializers.JSONField(required=False, help_text="For jobs with a structured result.")}


_kinds: dict[str, JobKind] = {}


def register(*kinds: JobKind) -> None:
    """Make kinds known to the engine. Called from a surface's AppConfig.ready()."""
    _kinds.update({kind.name: kind for kind in kinds})


def get(name: str) -> JobKind:
    """The registered kind; KeyError when no surface has registered that name."""
    return _kinds[name]


def fields() -> dict[str, serializers.Field]:
    """What jobs of any registered kind may show, for the API's schema."""
    return {name: field for kind in _kinds.values() for name, field in kind.fields().items()}


def names() -> list[str]:
    """The names of all registered kinds."""
    return list(_kinds)


def shown(job: AiJob) -> dict[str, Any]:
    """What of the job's result goes over the wire; nothing while there is none."""
    return _of(job).shown(job.result) if job.result else {}


def text(job: AiJob) -> str:
    """The text of the job's result; "" while there is none."""
    return _of(job).text(job.result) if job.result else ""


async def _cannot_run(run: Run) -> Result:
    raise KeyError(run.job.kind)


def _of(job: AiJob) -> JobKind:
    """The job's kind; for one that this process does not know, a plain kind with a structured result."""
    return _kinds.get(job.kind) or JobKind(job.kind, _cannot_run)
