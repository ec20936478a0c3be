"""How a task is ended."""

from __future__ import annotations

import asyncio
from typing import Any

CANCEL_SECONDS = 0.5


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; what it raises stays with it.

    The cancellation is repeated: before Python 3.12 asyncio.wait_for, and with it each command of the Redis client,
    can swallow one that comes at the wrong moment.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_SECONDS)
