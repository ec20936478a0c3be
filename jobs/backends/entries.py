"""What an entry in RQ's queues may be: JSON that names an allowed function (docs/decisions/0028).

Whoever can write to Redis can write entries. By default RQ unpickles them and imports whatever they name: as the
function to run, and as callbacks, which django-rq's pages call too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import rq.job
from django.conf import settings
from rq import serializers
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import import_attribute

RUN_JOB = "jobs.tasks.run_job"
RUN_JOB_NAMES = (RUN_JOB, "jobs.runner.run_job")  # and the name that entries of the previous release carry
OF_A_ROW = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-\d+")  # AiJob.rq_id


class Refused(Exception):
    """Why an entry is not run. The text quotes nothing of the entry."""


def restrict_rq() -> None:
    """Make RQ read and write JSON only, and import allowed functions only, everywhere in this process.

    Settings and arguments are not enough: django-rq's pages, registries and executions make `Job` objects with RQ's
    defaults, and read the pickled `meta` of an entry while doing so.
    """
    serializers.PickleSerializer = serializers.DefaultSerializer = JSONSerializer  # type: ignore[misc,assignment]
    serializers.SERIALIZER_ALIASES["pickle"] = JSONSerializer
    rq.job.import_attribute = import_allowed  # type: ignore[attr-defined]  # for callbacks
    Job.func = property(function_of)  # type: ignore[method-assign,assignment]
    Job.send_webhooks = _send_no_webhooks  # type: ignore[method-assign,assignment]


def import_allowed(name: str) -> Callable[..., Any]:
    """The function of this name. Raises Refused when entries may not name it."""
    if name not in RUN_JOB_NAMES and name not in settings.JOBS_ALLOWED_FUNCTIONS:
        raise Refused("it names a function that JOBS_ALLOWED_FUNCTIONS does not list")
    function: Callable[..., Any] = import_attribute(name)
    return function


def function_of(job: Job) -> Callable[..., Any]:
    """The function that this entry names. Raises Refused or DeserializationError."""
    if job.instance is not None:
        raise Refused("it names a method of an object")
    return import_allowed(str(job.func_name))


def check(job: Job) -> None:
    """Raise Refused unless the entry can be read and names allowed functions only. Imports nothing."""
    try:
        name, instance, args, kwargs = job.func_name, job.instance, job.args, job.kwargs
    except DeserializationError:
        raise Refused("it cannot be read as JSON") from None
    if not (isinstance(name, str) and instance is None and isinstance(args, list) and isinstance(kwargs, dict)):
        raise Refused("it is not a call of a function")
    callbacks = {job._success_callback_name, job._failure_callback_name, job._stopped_callback_name} - {None}
    if name in RUN_JOB_NAMES:
        if callbacks or kwargs or len(args) != 1 or not _is_id(args[0]):
            raise Refused("its arguments are not those of run_job")
    elif not {name, *callbacks} <= set(settings.JOBS_ALLOWED_FUNCTIONS):
        raise Refused("it names a function that JOBS_ALLOWED_FUNCTIONS does not list")
    if job.webhooks:
        raise Refused("it asks for a webhook")


def runs_a_row(job: Job) -> bool:
    """Whether the entry, which has been checked, runs an AiJob."""
    return job.func_name in RUN_JOB_NAMES


def belongs_to_row(entry_id: str) -> bool:
    """Whether an entry of this id was enqueued for an AiJob, whatever stands in it now."""
    return bool(OF_A_ROW.fullmatch(entry_id))


def _send_no_webhooks(job: Job, status: str, *, exc_string: str | None = None) -> None:
    """An entry may not make our processes call addresses of its choice."""


def _is_id(value: Any) -> bool:
    try:
        UUID(value)
    except (ValueError, TypeError, AttributeError):
        return False
    return True
