"""`./dev test`: the linters, the type checker and the tests."""

from __future__ import annotations

import os
import subprocess
import sys

from devstack.servers.processes import ROOT

CHECKS = (
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["mypy"],
)
# Processes, each with servers of its own: most tests wait for processes to start, to end or to be missed.
WHOLE = ["-n", "3", "--dist", "loadfile"]
# The type checker's Django plugin loads the settings, which want these to be set.
PLACEHOLDERS = {
    "DEV_STACK": "1",
    "SECRET_KEY": "-",
    "ALLOWED_HOSTS": "-",
    "DATABASE_URL": "postgres://-",
    "REDIS_URL": "redis://-",
    "OPENAI_API_KEY": "-",
}


def main(arguments: list[str]) -> int:
    """Run the checks, then pytest with these arguments; the exit code of the first that fails."""
    for check in CHECKS:
        print(f"- {' '.join(check)}", flush=True)
        env = os.environ | PLACEHOLDERS
        if code := subprocess.run([sys.executable, "-m", *check], cwd=ROOT, env=env, check=False).returncode:
            return code
    print("- pytest", flush=True)
    # Where it is set, pytest-django reads the settings before tests/conftest.py has started the servers.
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *(arguments or WHOLE)], cwd=ROOT, env=env, check=False
    ).returncode
