"""The state of a simulator, and the keys under which handlers find it."""

import asyncio
from typing import Any

from aiohttp import web

from .config import Config
from .faults import FaultBook, FaultRule, error_of
from .journal import Journal, RequestRecord
from .limits import Limits


class Simulator:
    """Settings, faults, limits and journal."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Restore the start state; answers in flight continue, but no longer count."""
        self.settings = self.config.settings
        self.faults = FaultBook(self.config.faults)
        self.limits = Limits(self.settings)
        self.journal = Journal()

    def change(self, changes: dict[str, Any]) -> None:
        """Apply changed settings; on ValueError nothing changes. Changed limits start with full buckets."""
        self.settings = self.settings.updated(changes)
        if {"requests_per_minute", "tokens_per_minute"} & set(changes):
            self.limits = Limits(self.settings)
        if self.settings.down:
            self._drop_connections()

    def _drop_connections(self) -> None:
        """Abort the answers in flight, as a crashing server does."""
        for record in list(self.journal.active):
            transport = record.transport
            record.fault = "down"
            record.finish("failed", None)
            if transport is not None:
                transport.abort()


class RawReply(Exception):
    """An injected reply; raising it in an API handler sends it."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status, self.headers, self.body = status, headers, body


SIMULATOR: web.AppKey[Simulator] = web.AppKey("simulator", Simulator)
# The record of the current request, under request[RECORD].
RECORD: web.RequestKey[RequestRecord] = web.RequestKey("record", RequestRecord)


async def meet_fault(request: web.Request, record: RequestRecord) -> FaultRule | None:
    """The fault for this request, if any.

    Raises ApiError for error kinds and RawReply for a raw one; a hang ends when the client disconnects.
    """
    fault = request.app[SIMULATOR].faults.take(record.endpoint, record.purpose, record.model)
    if fault is None:
        return None
    record.fault = fault.kind
    if error := error_of(fault):
        raise error
    if fault.kind == "hang":
        await asyncio.get_running_loop().create_future()
    if fault.kind == "raw":
        raise RawReply(fault.status, fault.headers, fault.body.encode("latin-1"))
    return fault
