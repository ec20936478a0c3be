"""The subcommands of `./dev`."""

from __future__ import annotations

import sys

USAGE = """usage: ./dev COMMAND

  run     set up and start the platform (PORT, DEV_DATA choose where)
  test    set up and run the linters, the type checker and the tests (arguments go to pytest)
  bench   measure how fast the platform is on this machine (--only SCENARIO ...; see docs/benchmarks.md)
  eval    measure how well passages are found, cited and refused (see docs/evaluation.md)
  chaos   ask questions while processes are killed, and check that nothing is lost (see docs/chaos.md)
"""


def main(arguments: list[str]) -> int:
    """Run a subcommand, importing only its own code; returns the exit code."""
    match arguments[:1]:
        case ["run"]:
            from devstack import run

            return run.main()
        case ["test"]:
            from devstack import testing

            return testing.main(arguments[1:])
        case ["bench"]:
            from tests.lab.bench import main as bench

            return bench.main(arguments[1:])
        case ["eval"]:
            from tests.lab.eval import main as evaluation

            return evaluation.main(arguments[1:])
        case ["chaos"]:
            from tests.lab.chaos import main as chaos

            return chaos.main(arguments[1:])
    print(USAGE, file=sys.stderr)
    return 0 if arguments[:1] in (["help"], ["-h"], ["--help"]) else 2
