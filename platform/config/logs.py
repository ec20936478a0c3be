"""The format of log lines, and the fields that tie them to a request or job."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from config import outages, scrub

ABOUT_REQUESTS = ("method", "path", "status", "duration_ms", "client", "job_id")


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


class _Formatter(ProcessorFormatter):
    """Formats lines of the `logging` module. Errors in their arguments and messages are scrubbed (config/scrub.py)."""

    def format(self, record: logging.LogRecord) -> str:
        record = logging.makeLogRecord(record.__dict__)
        if isinstance(record.args, dict):
            record.args = {name: _without_values(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(map(_without_values, record.args))
        return super().format(record)


def _without_values(argument: object) -> object:
    return scrub.message_of(argument) if isinstance(argument, BaseException) else argument


def _scrub_message(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Scrub the message of a warning or an error: libraries write exceptions into them, also as repr()."""
    if line["_record"].levelno >= logging.WARNING:
        line["event"] = scrub.scrubbed(str(line["event"]))
    return line


def _traceback(exc_info: ExcInfo) -> str:
    if outage := outages.describe(exc_info[1]):
        return outage  # where in the code it was noticed says nothing more
    return scrub.traceback_of(exc_info[1])


def _formatter(*rendering: Processor) -> logging.Formatter:
    about_the_line: list[Processor] = [
        _scrub_message,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.ExtraAdder(allow=ABOUT_REQUESTS),
        structlog.processors.ExceptionRenderer(_traceback),
    ]
    return _Formatter(
        foreign_pre_chain=about_the_line, processors=[ProcessorFormatter.remove_processors_meta, *rendering]
    )
