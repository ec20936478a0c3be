"""The format of log lines, and the fields that tie them to a request or job."""

from __future__ import annotations

import logging
import re
import traceback
from contextlib import AbstractContextManager
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import ExcInfo, Processor

from config import outages

ABOUT_REQUESTS = ("method", "path", "status", "duration_ms", "client", "job_id")
# Parts of Postgres and pydantic errors that quote the rejected value, which may be a person's text.
VALUES = re.compile(r"(?s:(?<=\n)DETAIL:.*?(?=\n\n|\Z))|(?<=input_value=).*(?=, input_type=)")


def about(**fields: Any) -> AbstractContextManager[None]:
    """Add these fields to every line logged within the block, also by its tasks and database threads."""
    return structlog.contextvars.bound_contextvars(**fields)


def request_id() -> str:
    """Return the id of the current request, or of the request that submitted the current job; "" outside of both."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def as_json() -> logging.Formatter:
    """Format each line as a JSON object, for machines."""
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    return _formatter(structlog.processors.EventRenamer("message"), renderer)


def as_text() -> logging.Formatter:
    """Format each line as text, for people."""
    plain = structlog.dev.plain_traceback
    return _formatter(structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, exception_formatter=plain))


def _traceback(exc_info: ExcInfo) -> str:
    if outage := outages.describe(exc_info[1]):
        return outage  # where in the code it was noticed says nothing more
    return VALUES.sub("[left out]", "".join(traceback.format_exception(*exc_info)).rstrip())


def _formatter(*rendering: Processor) -> logging.Formatter:
    about_the_line: list[Processor] = [
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(allow=ABOUT_REQUESTS),
        structlog.processors.ExceptionRenderer(_traceback),
    ]
    return ProcessorFormatter(
        foreign_pre_chain=about_the_line, processors=[ProcessorFormatter.remove_processors_meta, *rendering]
    )
