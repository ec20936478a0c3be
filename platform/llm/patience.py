"""How long to wait for the next piece of a stream."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Patience:
    """`with patience:` around each wait of one task raises TimeoutError when that wait takes longer than `seconds`.

    Like asyncio.timeout, but with one timer for all the waits: a new one for each token is a tenth of a stream's cost.
    Must be made in the task that waits, and closed.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._since: float | None = None
        self._is_over = False
        self._timer = self._loop.call_later(seconds, self._look)

    def __enter__(self) -> None:
        self._since = self._loop.time()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._since = None
        if self._is_over and self._task and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def close(self) -> None:
        """Stop watching."""
        self._timer.cancel()

    def _look(self) -> None:
        left = self._seconds if self._since is None else self._since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        elif self._task:
            self._is_over = True
            self._task.cancel()
