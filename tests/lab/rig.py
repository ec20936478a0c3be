"""A platform of its own for one run: servers in a temporary folder, a web process, workers."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from redis import Redis

from devstack.servers import processes, stack
from devstack.servers.processes import Program
from devstack.servers.stack import Stack
from tests.lab import people

NAMED_SERVERS = ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")
# The limits that the simulator announces in its headers: so high that the platform never throttles itself.
RATE = {"LLM_REQUESTS_PER_MINUTE": "30000", "LLM_TOKENS_PER_MINUTE": "150000000"}
START_SECONDS = 60.0
POLL_SECONDS = 0.1


class Rig:
    """A running platform: its servers, web process, workers (oldest first) and the tokens of its learners."""

    url: str
    web: Program

    def __init__(self, parts: Stack, data: Path, tokens: list[str]) -> None:
        self.parts = parts
        self.tokens = tokens
        self.logs = data / "logs"
        self.workers: list[Program] = []
        self._data = data
        self._worker_numbers = itertools.count(1)

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each part; of the workers, the oldest."""
        programs = {
            "simulator": self.parts.simulator,
            "Redis": self.parts.redis,
            "Daphne": self.web,
            "worker": self.workers[0],
        }
        pids = {name: program.pid for name, program in programs.items() if program}
        pids["Postgres"] = int((self._data / "postgres" / "postmaster.pid").read_text().split()[0])
        return pids

    def start_web(self, name: str) -> tuple[str, Program]:
        """Start a Daphne process and wait until it answers; returns its address too."""
        port = processes.free_port()
        command = ("daphne", "--bind", "127.0.0.1", "--port", str(port))
        program = self.parts.supervisor.start(processes.manage(name, *command))
        url = f"http://127.0.0.1:{port}"
        _wait_until_ok(f"{url}/healthz")
        return url, program

    def start_worker(self, **env: str) -> Program:
        """Start an `rqworker` process and wait until it has registered."""
        name = f"worker-{next(self._worker_numbers)}"
        # Without --name: RQ would refuse to restart a worker under the name of one that was just killed.
        worker = self.parts.supervisor.start(processes.manage(name, "rqworker", env=env))
        self.workers.append(worker)
        with Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as redis:

            def is_registered() -> bool:
                keys = redis.smembers(f"{settings.REDIS_KEY_PREFIX}rq:workers")
                return any(redis.hget(key, "pid") == str(worker.pid) for key in keys)

            _wait_until(is_registered, name)
        return worker

    def end_workers(self) -> None:
        """End all workers and wait for them."""
        while self.workers:
            processes.end(self.workers.pop().process)

    def replace_workers(self) -> None:
        """End all workers and start one with default settings."""
        self.end_workers()
        self.start_worker()


@contextmanager
def running(
    name: str, env: dict[str, str], learners: int, workers: int = 1, simulator_flags: tuple[str, ...] = ()
) -> Iterator[Rig]:
    """Run the platform with the demo courses embedded and this many enrolled learners; remove it afterwards."""
    with own_stack(name, env, simulator_flags) as (parts, data):
        rig = Rig(parts, data, people.prepare(learners))
        rig.url, rig.web = rig.start_web("daphne")
        for _ in range(workers):
            rig.start_worker()
        _wait_until_ok(f"{rig.url}/readyz")
        people.wait_until_embedded()
        yield rig


@contextmanager
def own_stack(
    name: str,
    env: dict[str, str],
    simulator_flags: tuple[str, ...] = (),
    ignored: tuple[str, ...] = NAMED_SERVERS,
) -> Iterator[tuple[Stack, Path]]:
    """Start servers in a temporary folder and set this process's environment for them; remove them afterwards.

    Variables in `ignored` are removed from the environment first: a run must not fill an existing database or spend an
    account's money. SIGTERM raises SystemExit, so that the servers end with this process.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for variable in ignored:
        os.environ.pop(variable, None)
    data = Path(tempfile.mkdtemp(prefix=f"course-ai-{name}-"))
    try:
        parts = stack.start(data, simulator_flags=simulator_flags)
        try:
            os.environ.update(parts.env | env)
            yield parts, data
        except Exception:
            _print_logs(data / "logs")  # the folder is about to be removed
            raise
        finally:
            people.disconnect()
            parts.stop()
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _print_logs(folder: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        last = log.read_text(errors="replace").splitlines()[-3:]
        print(f"- the end of {log.name}:", *last, sep="\n  ", file=sys.stderr)


def _wait_until_ok(url: str) -> None:
    def is_ok() -> bool:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return True
        return False

    _wait_until(is_ok, url)


def _wait_until(is_ready: Callable[[], bool], what: str) -> None:
    """Return when the condition holds; TimeoutError after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not start within {START_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
