"""`./dev run`: sets up and runs the whole platform on a bare machine."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psycopg

from devstack.servers import processes, stack
from devstack.servers.processes import ROOT
from devstack.servers.stack import Stack

WAIT_SECONDS = 120.0
DEMO_BUDGET = "300000"  # tokens per person and day, about a hundred questions, so that pages show a budget


class Unusable(Exception):
    """The stack cannot start. The message is one line that says what to change."""


def main() -> int:
    """Start everything, print the addresses, run until Ctrl-C."""
    port, data = _port(), Path(os.environ.get("DEV_DATA", ROOT / ".dev")).resolve()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background processes with SIGINT ignored
    try:
        with _only_one(data), _running_stack(data) as parts:
            _serve(parts, port, data)
    except Unusable as problem:
        print(f"dev run: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _serve(parts: Stack, port: int, data: Path) -> None:
    os.environ.update(parts.env)
    os.environ.setdefault("BUDGET_PERSON_TOKENS", DEMO_BUDGET)
    env_file = _write_env(parts, data)
    try:
        _step("Preparing the database", lambda: _manage("migrate", "--verbosity", "0"))
        _step("Loading the demo courses and people", lambda: _manage("load_demo", "--questions"))
        daphne = processes.manage("daphne", "daphne", "--bind", "127.0.0.1", "--port", str(port))
        parts.supervisor.start(daphne)
        parts.supervisor.start(processes.manage("rqworker", "rqworker"))
        url = f"http://localhost:{port}"
        _step("Starting the web server and the worker", lambda: _wait(parts, lambda: _is_ready(url)))
        _step("Embedding the lessons", lambda: _wait(parts, _is_embedded))
        _step("Trying a real request", lambda: _wait(parts, lambda: _answers(url)))
        _greet(parts, url, data)
        _watch(parts)
    finally:
        env_file.unlink(missing_ok=True)


def _watch(parts: Stack) -> None:
    while True:
        time.sleep(1)
        for name in parts.supervisor.check():
            print(f"{name} ended and is restarted; log: {parts.supervisor.log_of(name)}")
        if parts.postgres and not parts.postgres.is_running():
            print("Postgres ended and is restarted")
            parts.postgres.start()


def _greet(parts: Stack, url: str, data: Path) -> None:
    upstream = "the simulator" if parts.simulator else os.environ.get("OPENAI_BASE_URL", "OpenAI")
    print(
        f"""
  Open      {url}                      the landing page, with a chat for visitors
  Sign in   learner / demo-learner     a learner: ask the course assistant
            tutor / demo-tutor         a tutor: open a course, then the copilot
            staff / demo-staff         {url}/admin/
  API       {url}/api/docs
  AI        answered by {upstream}
  Redis     {parts.env.get("REDIS_URL", os.environ.get("REDIS_URL"))}
  Logs      {data / "logs"}

  Ctrl-C ends everything.""",
        flush=True,
    )


def _step(what: str, do: Callable[[], None]) -> None:
    print(f"- {what} ... ", end="", flush=True)
    began = time.monotonic()
    do()
    print(f"done ({time.monotonic() - began:.1f} s)", flush=True)


def _manage(*arguments: str) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        said = (result.stderr or result.stdout).strip()
        # Of a traceback only the last line; a message, for instance about the settings, whole.
        said = said.splitlines()[-1] if "Traceback" in said else said
        raise Unusable(f"`manage.py {arguments[0]}` failed: {said}")


def _wait(parts: Stack, is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise Unusable(f"this took over {WAIT_SECONDS:.0f} s; see the logs in {parts.supervisor.log_of('')}")
        for name in parts.supervisor.check():
            print(f"[{name} ended, see {parts.supervisor.log_of(name)}] ", end="", flush=True)
        time.sleep(0.2)


def _is_ready(url: str) -> bool:
    return _get(f"{url}/readyz") is not None


def _is_embedded() -> bool:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT count(*) FROM courses_passage WHERE embedding IS NULL").fetchone()
    return row is not None and row[0] == 0


def _answers(url: str) -> bool:
    """Whether a person can sign in and fetch the courses."""
    credentials = json.dumps({"username": "learner", "password": "demo-learner"}).encode()
    token = _get(f"{url}/api/auth/token", credentials)
    return token is not None and _get(f"{url}/api/courses", token=token["token"]) is not None


def _get(url: str, body: bytes | None = None, token: str | None = None) -> dict | None:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return dict(json.load(response))
    except (OSError, ValueError):
        return None


def _write_env(parts: Stack, data: Path) -> Path:
    """Write the variables with which manage.py in another terminal uses the same servers."""
    path = data / "env"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in parts.env.items()))
    return path


def _port() -> int:
    text = os.environ.get("PORT", "8000")
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise SystemExit(f"dev run: PORT={text} is no port number")
    return int(text)


@contextlib.contextmanager
def _running_stack(data: Path) -> Iterator[Stack]:
    processes.end_leftovers(data)
    if not processes.is_free(port := _port()):
        raise Unusable(f"port {port} is in use; choose another with PORT=8001 ./dev run")
    print("- Starting Postgres, Redis and the simulator, unless the environment names others ... ", end="", flush=True)
    parts = stack.start(data)
    print("done", flush=True)
    try:
        yield parts
    finally:
        print("\nStopping ...", flush=True)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
        parts.stop()


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[IO[str]]:
    """Lock the data folder for this process; the lock is released even if the process is killed."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("w")
    except OSError as error:
        raise Unusable(
            f"the folder {data} cannot be used: {error.strerror}; choose another with DEV_DATA=..."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unusable(f"another `./dev run` is using {data}; choose another with DEV_DATA=...") from None
        yield lock
