from __future__ import annotations

import sys
from typing import Any

from daphne.cli import CommandLineInterface
from django.core.management.base import BaseCommand

from config.server import BoundedServer

APPLICATION = "config.asgi:application"


class Command(BaseCommand):
    help = "Serve the platform with Daphne. Takes Daphne's own options, such as --bind and --port."

    def run_from_argv(self, argv: list[str]) -> None:
        """Pass all options through to Daphne, which parses them itself."""
        sys.argv = ["daphne", *argv[2:], APPLICATION]
        _daphne().run(sys.argv[1:])

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve with Daphne's defaults. This runs when another command calls this one."""
        _daphne().run([APPLICATION])


def _daphne() -> CommandLineInterface:
    daphne = CommandLineInterface()
    daphne.server_class = BoundedServer
    # Daphne's own access log would contain query strings with tickets; config/access.py writes ours.
    daphne.parser.set_defaults(verbosity=0)
    return daphne
