"""The stack that is measured: servers of its own in a temporary folder, one Daphne, one worker process."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack import processes, stack
from devstack.bench import people
from devstack.stack import Stack

NAMED_SERVERS = ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")
START_SECONDS = 60.0


@dataclass(frozen=True)
class Rig:
    """Where the running platform is, who its people are, and which processes it is made of."""

    url: str
    simulator_url: str
    tokens: list[str]
    lesson_path: str
    pids: dict[str, int]


@contextmanager
def running(count: int) -> Iterator[Rig]:
    """The platform with so many learners; ended and removed with the block."""
    for name in NAMED_SERVERS:
        os.environ.pop(name, None)  # never a database or an account that somebody named
    data = Path(tempfile.mkdtemp(prefix="course-ai-bench-"))
    try:
        parts = stack.start(data)
        try:
            os.environ.update(parts.env)
            yield _start(parts, data, count)
        finally:
            people.disconnect()
            parts.stop()
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _start(parts: Stack, data: Path, count: int) -> Rig:
    tokens = people.prepare(count)
    port = processes.free_port()
    daphne = processes.manage("daphne", "daphne", "--bind", "127.0.0.1", "--port", str(port))
    worker = processes.manage("rqworker", "rqworker", "interactive", "background")
    programs = {
        "Daphne": parts.supervisor.start(daphne),
        "worker": parts.supervisor.start(worker),
        "simulator": parts.simulator,
        "Redis": parts.redis,
    }
    url = f"http://127.0.0.1:{port}"
    _wait_until_ready(f"{url}/readyz")
    people.wait_until_embedded()
    pids = {name: program.process.pid for name, program in programs.items() if program and program.process}
    pids["Postgres"] = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
    return Rig(url, parts.simulator_url, tokens, people.lesson_path(), pids)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_ready(url):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} does not answer")
        time.sleep(0.2)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
