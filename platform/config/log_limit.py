"""Keeps repeated log lines few, where anybody can cause them."""

from __future__ import annotations

import threading
import time

REPEAT_SECONDS = 3600.0
LINES_PER_MINUTE = 10


class LogLimit:
    """Admits the same line once an hour, and LINES_PER_MINUTE different ones a minute. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admitted: dict[str, float] = {}  # at most as many as there can be in REPEAT_SECONDS

    def admits(self, line: str) -> bool:
        """Return whether to log this line now."""
        now = time.monotonic()
        with self._lock:
            self._admitted = {text: at for text, at in self._admitted.items() if now - at < REPEAT_SECONDS}
            recent = sum(now - at < 60 for at in self._admitted.values())
            if line in self._admitted or recent >= LINES_PER_MINUTE:
                return False
            self._admitted[line] = now
            return True
