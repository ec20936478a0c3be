"""`./dev test`: the linters, the type checker and the tests."""

from __future__ import annotations

import subprocess
import sys

from devstack.processes import ROOT

CHECKS = (
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["mypy"],
)


def main(arguments: list[str]) -> int:
    """Run the checks, then pytest with these arguments; the exit code of the first that fails."""
    for check in CHECKS:
        print(f"- {' '.join(check)}", flush=True)
        if code := subprocess.run([sys.executable, "-m", *check], cwd=ROOT, check=False).returncode:
            return code
    print("- pytest", flush=True)
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode
