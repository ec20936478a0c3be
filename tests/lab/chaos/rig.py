"""The stack that is destroyed and comes back: servers of its own, one Daphne, two workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.servers import processes
from devstack.servers.processes import Program
from devstack.servers.stack import Stack
from tests.lab import people
from tests.lab.rig import RATE, own_stack, wait_until_ready

MAX_FAILURES = 60
# Recovery in seconds instead of minutes, so that a short run holds many kills; limits that nobody reaches.
ENVIRONMENT = RATE | {
    "JOBS_LEASE_SECONDS": "8",  # on a busy machine a worker that lives may not be heard of for seconds
    "JOBS_SWEEP_SECONDS": "0.3",
    "JOBS_REQUEUE_SECONDS": "3",
    "JOBS_GRACE_SECONDS": "3",
    "JOBS_PER_PERSON": "1000",
    "JOBS_MAX_FAILURES": str(MAX_FAILURES),
    "LLM_FIRST_TOKEN_TIMEOUT": "4",
    "LLM_TOKEN_GAP_TIMEOUT": "2",
}
# An answer takes about two seconds: long enough to be hit in the middle.
LATENCIES = ("--first-token=0.3", "--token-interval=0.012", "--rewrite-latency=0.2", "--embedding-latency=0.05")


@dataclass(frozen=True)
class Rig:
    """The running platform and its parts, to be killed one by one."""

    url: str
    parts: Stack
    web: Program
    workers: list[Program]
    tokens: list[str]
    logs: Path


@contextmanager
def running(count: int) -> Iterator[Rig]:
    """The platform with so many learners; ended and removed with the block."""
    with own_stack("chaos", ENVIRONMENT, LATENCIES) as (parts, data):
        tokens = people.prepare(count)
        port = processes.free_port()
        start = parts.supervisor.start
        web = start(processes.manage("daphne", "daphne", "--bind", "127.0.0.1", "--port", str(port)))
        workers = [start(processes.manage(f"worker-{n}", "rqworker")) for n in (1, 2)]
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(f"{url}/readyz")
        people.wait_until_embedded()
        yield Rig(url, parts, web, workers, tokens, data / "logs")
