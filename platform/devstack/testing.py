"""`./dev test`: the linters, the type checkers and the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from devstack.servers.processes import ROOT

CHECKS = (
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["tsc"],
    ["mypy"],
)
TYPESCRIPT = "typescript@7.0.2"
# Processes, each with servers of its own: most tests wait for processes to start, to end or to be missed.
WHOLE = ["-n", "3", "--dist", "loadfile"]
# The type checker's Django plugin loads the settings, which want these to be set.
PLACEHOLDERS = {
    "DEV_STACK": "1",
    "SECRET_KEY": "-",
    "ALLOWED_HOSTS": "localhost",
    "DATABASE_URL": "postgres://-/-",
    "REDIS_URL": "redis://-",
    "OPENAI_API_KEY": "-",
}


def main(arguments: list[str]) -> int:
    """Run the checks, then pytest with these arguments; the exit code of the first that fails."""
    for check in CHECKS:
        print(f"- {' '.join(check)}", flush=True)
        env = os.environ | PLACEHOLDERS
        command = _compiler() if check == ["tsc"] else [sys.executable, "-m", *check]
        if command and (code := subprocess.run(command, cwd=ROOT, env=env, check=False).returncode):
            return code
    print("- pytest", flush=True)
    # Where it is set, pytest-django reads the settings before tests/conftest.py has started the servers.
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *(arguments or WHOLE)], cwd=ROOT, env=env, check=False
    ).returncode


def _compiler() -> list[str]:
    """The command that checks the JavaScript; installs TypeScript into the data folder if it is not there yet.

    Without Node.js or the network it returns an empty list, and the check is skipped; in CI it exits with an error.
    """
    folder = Path(os.environ.get("DEV_DATA", ROOT / ".dev")).resolve() / TYPESCRIPT
    tsc = folder / "node_modules" / "typescript" / "bin" / "tsc"
    options = ["--prefix", str(folder), "--no-save", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1"]
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        problem = f"{'npm' if node else 'node'} is not installed"
    elif not tsc.exists() and subprocess.call([npm, "install", *options, TYPESCRIPT], stdout=subprocess.DEVNULL):
        problem = f"npm could not install {TYPESCRIPT}"
    else:
        return [node, str(tsc), "--noEmit", "--project", "jsconfig.json"]
    if os.environ.get("REQUIRE_BROWSER") == "1":
        raise SystemExit(f"dev test: REQUIRE_BROWSER=1 and the JavaScript cannot be checked: {problem}")
    print(f"- tsc: skipped, {problem}", flush=True)
    return []
