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
# More processes than most machines have idle cores, because most tests wait. Each has its own servers.
WHOLE = ["-n", "3", "--dist", "loadfile"]
# The type checker's Django plugin loads the settings, which require these.
PLACEHOLDERS = {
    "DEV_STACK": "1",
    "SECRET_KEY": "-",
    "ALLOWED_HOSTS": "-",
    "DATABASE_URL": "postgres://-",
    "REDIS_URL": "redis://-",
    "OPENAI_API_KEY": "-",
}


def main(arguments: list[str]) -> int:
    """Run the checks, then pytest with these arguments; returns the exit code of the first that fails."""
    for check in CHECKS:
        print(f"- {' '.join(check)}", flush=True)
        env = os.environ | PLACEHOLDERS
        if code := subprocess.run([sys.executable, "-m", *check], cwd=ROOT, env=env, check=False).returncode:
            return code
    print("- pytest", flush=True)
    # With it, pytest-django would read the settings before tests/conftest.py starts the servers.
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *(arguments or WHOLE)], cwd=ROOT, env=env, check=False
    ).returncode
