"""The stack that is measured: servers of its own in a temporary folder, one Daphne, one worker process."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.servers import stack
from devstack.servers.processes import Program
from devstack.servers.stack import Stack
from tests.lab import people
from tests.lab.bench.fleet import Fleet, is_well, wait_until

NAMED_SERVERS = ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")
# What the simulator's headers tell: the upstream's rate is not what is measured here.
RATE = {"LLM_REQUESTS_PER_MINUTE": "30000", "LLM_TOKENS_PER_MINUTE": "150000000"}
# Some few people ask for many; a worker takes all that is asked at once.
ENVIRONMENT = RATE | {"LOG_FORMAT": "json", "JOBS_PER_WORKER": "300", "JOBS_PER_PERSON": "1000"}


@dataclass(frozen=True)
class Rig:
    """Where the running platform is, who its people are, and which processes it is made of."""

    url: str
    simulator_url: str
    tokens: list[str]
    lesson_path: str
    pids: dict[str, int]
    fleet: Fleet


@contextmanager
def running(count: int) -> Iterator[Rig]:
    """The platform with so many learners; ended and removed with the block."""
    with own_stack("bench", ENVIRONMENT) as (parts, data):
        yield _start(parts, data, count)


@contextmanager
def own_stack(
    name: str,
    env: dict[str, str],
    simulator_flags: tuple[str, ...] = (),
    not_used: tuple[str, ...] = NAMED_SERVERS,
) -> Iterator[tuple[Stack, Path]]:
    """Servers in a temporary folder, and this process's environment set for them; all of it ended with the block.

    Of the servers that the environment names, those `not_used` are left alone: no database that somebody named may be
    filled, and no account used by accident.
    """
    for server in not_used:
        os.environ.pop(server, None)
    data = Path(tempfile.mkdtemp(prefix=f"course-ai-{name}-"))
    try:
        parts = stack.start(data, simulator_flags=simulator_flags)
        try:
            os.environ.update(parts.env | env)
            yield parts, data
        except Exception:
            _show_logs(data / "logs")  # they go with the folder
            raise
        finally:
            people.disconnect()
            parts.stop()
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _show_logs(folder: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        last = log.read_text(errors="replace").splitlines()[-3:]
        print(f"- the end of {log.name}:", *last, sep="\n  ", file=sys.stderr)


def _start(parts: Stack, data: Path, count: int) -> Rig:
    tokens = people.prepare(count)
    fleet = Fleet(parts.supervisor)
    url, daphne = fleet.start_web("daphne")
    fleet.start_worker()
    wait_until_ready(f"{url}/readyz")
    people.wait_until_embedded()
    pids = {
        name: _pid(program) for name, program in (("simulator", parts.simulator), ("Redis", parts.redis)) if program
    }
    pids |= {"Daphne": _pid(daphne), "worker": fleet.workers[0].pid}
    pids["Postgres"] = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
    return Rig(url, parts.simulator_url, tokens, people.lesson_path(), pids, fleet)


def wait_until_ready(url: str) -> None:
    """Return when this address answers 200; TimeoutError when it does not."""
    wait_until(lambda: is_well(url), url)


def _pid(program: Program) -> int:
    assert program.process, "it was started"
    return program.process.pid
