"""Reports synchronous calls on its event loop: `rqworker --worker-class tests.jobs.worker.watched.Worker`."""

from __future__ import annotations

import asyncio
import functools
import sys
import traceback
from pathlib import Path
from typing import Any

import psycopg
import redis.connection
from django.db.backends.base.base import BaseDatabaseWrapper

from jobs.worker.rq_worker import AsyncWorker as Worker  # noqa: F401

MARK = "synchronous call on the event loop:"
ROOT = Path(__file__).resolve().parents[3]


def report_on_the_loop(owner: type, method: str) -> None:
    """Report each call of this method in a thread with a running event loop, and its caller."""
    original = getattr(owner, method)

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if asyncio._get_running_loop():
            sys.stderr.write(f"{MARK} {owner.__module__}.{method} from {_caller()}\n")
        return original(*args, **kwargs)

    setattr(owner, method, watched)


def _caller() -> str:
    """The innermost stack frame in our own code."""
    ours = [frame for frame in traceback.extract_stack() if _is_ours(Path(frame.filename))]
    return f"{Path(ours[-1].filename).relative_to(ROOT)}:{ours[-1].lineno}" if ours else "nowhere"


def _is_ours(file: Path) -> bool:
    return file.is_relative_to(ROOT) and not file.is_relative_to(ROOT / ".venv") and file != Path(__file__)


report_on_the_loop(redis.connection.AbstractConnection, "connect")
report_on_the_loop(redis.connection.AbstractConnection, "send_packed_command")  # commands, pipelines, pub/sub
report_on_the_loop(BaseDatabaseWrapper, "cursor")
report_on_the_loop(psycopg.Connection, "wait")  # statements of any cursor, commits
