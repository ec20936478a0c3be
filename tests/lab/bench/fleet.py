"""Workers and web processes of the stack that is measured, to be started and ended while it runs."""

from __future__ import annotations

import itertools
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from redis import Redis

from devstack.servers import processes
from devstack.servers.processes import Program, Supervisor

START_SECONDS = 60.0
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Worker:
    """A running `rqworker`."""

    program: Program

    @property
    def pid(self) -> int:
        assert self.program.process, "it was started"
        return self.program.process.pid

    def end(self, signum: int = signal.SIGTERM) -> None:
        """Send this signal and do not wait."""
        assert self.program.process, "it was started"
        self.program.process.send_signal(signum)


class Fleet:
    """`workers` are those that run, the first of them the one that was there at the beginning."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.workers: list[Worker] = []
        self._supervisor = supervisor
        self._numbers = itertools.count(1)
        self._redis = Redis.from_url(os.environ["REDIS_URL"])

    def start_worker(self, *flags: str, **env: str) -> Worker:
        """One more worker; returns when it takes jobs."""
        name = f"worker-{next(self._numbers)}"
        command = ("rqworker", "--name", name, *flags)
        worker = Worker(self._supervisor.start(processes.manage(name, *command, env=env)))
        self.workers.append(worker)
        wait_until(lambda: bool(self._redis.sismember("rq:workers", f"rq:worker:{name}")), name)
        return worker

    def end_workers(self) -> None:
        """End all of them, and wait for it."""
        while self.workers:
            processes.end(self.workers.pop().program.process)

    def start_web(self, name: str, **env: str) -> tuple[str, Program]:
        """One more Daphne; returns its address too."""
        port = processes.free_port()
        command = ("daphne", "--bind", "127.0.0.1", "--port", str(port))
        program = self._supervisor.start(processes.manage(name, *command, env=env))
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_well(f"{url}/healthz"), name)
        return url, program


def is_well(url: str) -> bool:
    """Whether this address answers 200."""
    with suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


def wait_until(is_ready: Callable[[], bool], what: str) -> None:
    """Return when it is so; TimeoutError when that takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} does not start")
        time.sleep(LOOK_SECONDS)
