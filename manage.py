#!/usr/bin/env python3
"""The one entry point of the project: importing this module puts `platform/` on the import path.

`./dev`, pytest, Daphne (`manage.py daphne`), `manage.py rqworker` and the image all come through
here. `platform/` is a plain folder, not a package: Python's own `platform` module keeps its name.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent

for folder in (ROOT / "platform", ROOT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def main() -> None:
    """Run a Django management command. An outage of Postgres or Redis is one line instead of a traceback."""
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except Exception as error:
        from config import outages

        # The pool of connections knows only that it got none; a connection of our own tells why.
        if "--traceback" in sys.argv or outages.describe(error) is None:
            raise
        sys.exit("\n".join(outages.unreachable()) or outages.describe(error))


if __name__ == "__main__":
    main()
