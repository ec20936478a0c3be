#!/usr/bin/env python3
"""The one door into the project: importing this module puts `platform/` on the import path.

`./dev`, pytest, Daphne (`manage.py daphne`), `manage.py rqworker` and the image all come through
here. `platform/` is a plain folder, not a package: Python's own `platform` module keeps its name.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SWITCH_SECONDS = 0.002

for folder in (ROOT / "platform", ROOT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def main() -> None:
    """Run a Django management command."""
    from django.core.management import execute_from_command_line

    # Daphne and the workers have an event loop beside threads: by default it waits up to 5 ms for each that computes.
    # Much less, and a hundred requests at once cost half as much again (docs/decisions/0021).
    sys.setswitchinterval(SWITCH_SECONDS)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
