from __future__ import annotations

import sys
from typing import Any

from daphne.cli import CommandLineInterface
from django.core.management.base import BaseCommand

APPLICATION = "config.asgi:application"


class Command(BaseCommand):
    help = "Serve the platform with Daphne. Takes Daphne's own options, such as --bind and --port."

    def run_from_argv(self, argv: list[str]) -> None:
        """Hand Daphne's options through as they are: Daphne parses them itself."""
        sys.argv = ["daphne", *argv[2:], APPLICATION]
        _daphne().run(sys.argv[1:])

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve with Daphne's defaults, when called by another command."""
        _daphne().run([APPLICATION])


def _daphne() -> CommandLineInterface:
    daphne = CommandLineInterface()
    # Its own access lines would carry query strings, and with them tickets: config/access.py writes them.
    daphne.parser.set_defaults(verbosity=0)
    return daphne
