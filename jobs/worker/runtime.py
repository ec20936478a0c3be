"""What one worker process has once. Made by the worker, handed to every attempt."""

from __future__ import annotations

from contextlib import AsyncExitStack

from jobs.backends.connections import Resources
from jobs.backends.faults import Faults
from jobs.backends.queues import Dispatch
from jobs.backends.upstream import Upstream
from jobs.events.batcher import Sender
from jobs.worker.call_log import CallLog
from jobs.worker.leases import Leases


class Runtime(Resources):
    """Database threads, Redis client, upstream, event sender, leases, call log and failures of one event loop.

    Making it opens nothing yet. `dispatch` begins jobs that attempts submit, where the worker has room for them.
    """

    def __init__(self, dispatch: Dispatch | None = None) -> None:
        super().__init__()
        self.faults = Faults()
        self.upstream = Upstream(self.redis)
        self.sender = Sender(self.redis, self.faults)
        self.calls = CallLog(self.db)
        self.leases = Leases(self.db, self.faults)
        self.dispatch = dispatch

    async def close(self) -> None:
        """Close every connection, even if closing another one fails.

        Nothing is closed while attempts are under way: they did not end in the time that the worker gave them, the
        process is about to end, and until then they need their connections to hand their jobs back.
        """
        if self.leases.active():
            return
        async with AsyncExitStack() as steps:
            steps.push_async_callback(super().close)
            steps.push_async_callback(self.upstream.close)
            steps.push_async_callback(self.sender.close)
            steps.push_async_callback(self.leases.close)
