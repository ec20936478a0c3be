"""What a surface tells the engine about its kind of job. Surfaces register; the engine never imports them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.people import Person
    from jobs.models import AiJob
    from jobs.worker.run import Run

INTERACTIVE, DEFAULT, BACKGROUND = QUEUES = ("interactive", "default", "background")  # one for each priority

Result = dict[str, Any]


class Refusal(Exception):
    """Raised by a kind's `run` for what must not be done any more: the job fails for good, with this code and text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class JobKind:
    """One kind of AI work.

    `run` is a coroutine without database access of its own: it gets a `Run` and returns the result.
    `save` writes the result into the surface's tables, in the transaction that ends the job: a completed
    job's result, or the partial text of a cancelled one.
    `deadline` bounds one attempt, in seconds of work: waiting for the upstream's rate does not count.
    `priority` decides what is done first, by workers and with the upstream's rate: 0 before 1 before 2.
    No budget holds up a kind that does not call the upstream.
    `admit_again` raises LimitReached when a person may not run an ended job again now, beside the limits on all jobs.
    """

    name: str
    run: Callable[[Run], Coroutine[Any, Any, Result]]
    save: Callable[[AiJob, Result], object] = lambda job, result: None
    deadline: float = 180.0
    priority: int = 0
    calls_upstream: bool = True
    admit_again: Callable[[HttpRequest, Person], object] = lambda request, person: None

    @property
    def queue(self) -> str:
        """Where its jobs wait for a worker."""
        return QUEUES[self.priority]


_kinds: dict[str, JobKind] = {}


def register(*kinds: JobKind) -> None:
    """Make kinds known to the engine; called from the surface's AppConfig.ready(). One of the same name is replaced."""
    _kinds.update({kind.name: kind for kind in kinds})


def get(name: str) -> JobKind:
    """The registered kind; KeyError when no surface has registered that name."""
    return _kinds[name]


def names() -> list[str]:
    """The names of all registered kinds."""
    return list(_kinds)
