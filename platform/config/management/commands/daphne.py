from __future__ import annotations

import sys
from typing import Any

from daphne import http_protocol
from daphne.cli import CommandLineInterface
from django.core.management.base import BaseCommand

from config.http.server import BoundedServer

APPLICATION = "config.asgi:application"


class Request(http_protocol.WebRequest):
    """Daphne's request, but answers 400 where Daphne itself would fail with 500, before our application is asked."""

    def __init__(self, *args: Any, **options: Any) -> None:
        # Twisted would parse forms for itself, and on some of them hang up without an answer. Django parses them.
        super().__init__(*args, parsePOSTFormSubmission=False, **options)

    def process(self) -> Any:
        """Handle the request, whose head and body have arrived."""
        # With this header a client would choose the prefix of our URLs.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        decoded = [self.method, self.clientproto, *self.requestHeaders.getRawHeaders(b"sec-websocket-protocol", [])]
        if all(value.isascii() for value in decoded):
            return super().process()
        return self.basic_error(400, b"Bad Request", "Invalid characters in the request")


http_protocol.WebRequest = Request  # type: ignore[misc]  # Daphne has no setting for it


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
    # Daphne's own access log would contain query strings with tickets; config/http/access.py writes ours.
    daphne.parser.set_defaults(verbosity=0)
    return daphne
