"""The subcommands of `./dev`."""

from __future__ import annotations

import sys
from collections.abc import Callable

from devstack import run, testing
from tests.lab.bench import main as bench
from tests.lab.chaos import main as chaos
from tests.lab.eval import main as evaluation

USAGE = """usage: ./dev COMMAND

  run     set everything up and start the platform (PORT, DEV_DATA choose where)
  test    set everything up and pass the checks and tests (arguments go to pytest)
  bench   measure how fast the platform is on this machine (--only SCENARIO ...; see docs/benchmarks.md)
  eval    ask the question set: how well passages are found, cited and refused (see docs/evaluation.md)
  chaos   ask while everything is killed around the answers, and check every promise (see docs/chaos.md)
"""
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": lambda arguments: run.main(),
    "test": testing.main,
    "bench": bench.main,
    "eval": evaluation.main,
    "chaos": chaos.main,
}


def main(arguments: list[str]) -> int:
    """Run a subcommand; returns the exit code."""
    if not arguments or arguments[0] not in COMMANDS:
        print(USAGE, file=sys.stderr)
        return 0 if arguments and arguments[0] in ("help", "-h", "--help") else 2
    return COMMANDS[arguments[0]](arguments[1:])
