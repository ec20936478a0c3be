"""The servers that the project needs: those named in the environment are used, the others are started here."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from devstack.servers import processes
from devstack.servers.postgres import SETTINGS, EmbeddedPostgres
from devstack.servers.processes import Program, Supervisor

SIMULATOR_KEY = "sk-simulator"


@dataclass
class Stack:
    """The running servers. `env` holds the variables with which Django finds them."""

    supervisor: Supervisor
    env: dict[str, str]
    postgres: EmbeddedPostgres | None = None
    redis: Program | None = None
    simulator: Program | None = None
    simulator_url: str = ""

    def stop(self) -> None:
        """End all servers that were started."""
        self.supervisor.stop()
        if self.postgres:
            self.postgres.stop()


def start(data: Path, postgres_settings: str = SETTINGS, simulator_flags: tuple[str, ...] = ()) -> Stack:
    """Start the servers that DATABASE_URL, REDIS_URL, OPENAI_API_KEY and OPENAI_BASE_URL do not name."""
    stack = Stack(Supervisor(data), {"DEV_STACK": "1", "DEV_DATA": str(data), "SECRET_KEY": _secret_key(data)})
    stack.env["ALLOWED_HOSTS"] = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
    if "DATABASE_URL" not in os.environ:
        stack.postgres = EmbeddedPostgres(data / "postgres", postgres_settings)
        stack.env["DATABASE_URL"] = stack.postgres.start()
    if "REDIS_URL" not in os.environ:
        port = processes.free_port()
        stack.redis = stack.supervisor.start(processes.redis_server(port, data / "redis"))
        stack.env["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    if "OPENAI_API_KEY" not in os.environ:
        _start_simulator(stack, simulator_flags)
    return stack


def _start_simulator(stack: Stack, flags: tuple[str, ...]) -> None:
    stack.env["OPENAI_API_KEY"] = SIMULATOR_KEY
    if "OPENAI_BASE_URL" in os.environ:
        return  # a compatible server that needs no key
    port = processes.free_port()
    stack.simulator = stack.supervisor.start(processes.simulator(port, "--api-key", SIMULATOR_KEY, *flags))
    stack.simulator_url = f"http://127.0.0.1:{port}"
    stack.env["OPENAI_BASE_URL"] = f"{stack.simulator_url}/v1"


def _secret_key(data: Path) -> str:
    """The data folder's secret key, created once so that sessions survive a restart."""
    if "SECRET_KEY" in os.environ:
        return os.environ["SECRET_KEY"]
    path = data / "secret-key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text()
