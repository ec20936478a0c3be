"""What a log line looks like, and what it says about the request or job that it belongs to."""

from __future__ import annotations

import logging
import re
import traceback
from contextlib import AbstractContextManager
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import ExcInfo, Processor

ABOUT_REQUESTS = ("method", "path", "status", "duration_ms", "client", "job_id")
# What Postgres and pydantic tell of the rows and texts that they refused: it may be somebody's question.
VALUES = re.compile(r"(?s:(?<=\n)DETAIL:.*?(?=\n\n|\Z))|(?<=input_value=).*(?=, input_type=)")


def about(**fields: Any) -> AbstractContextManager[None]:
    """Put these fields on every line that is logged within the block, by its tasks and by its database work."""
    return structlog.contextvars.bound_contextvars(**fields)


def request_id() -> str:
    """The id of the request that is being served, or that asked for the job that is being run; "" outside of both."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def as_json() -> logging.Formatter:
    """One JSON object a line, for machines."""
    renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    return _formatter(structlog.processors.EventRenamer("message"), renderer)


def as_text() -> logging.Formatter:
    """The same for people."""
    plain = structlog.dev.plain_traceback
    return _formatter(structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, exception_formatter=plain))


def _traceback(exc_info: ExcInfo) -> str:
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
