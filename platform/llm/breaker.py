"""Circuit breakers, one for each model, shared by all workers through one atomic Redis script (breaker.lua).

closed       all calls go
opened       no call goes; begins after THRESHOLD transient failures in a row
half-opened  one call at a time goes as a probe; begins OPEN_SECONDS after opening; ends with the probe's outcome

Staff can hold a breaker open or closed, for up to KEEP_SECONDS. Without Redis all calls go.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, unquote

from redis import RedisError, ResponseError
from redis.asyncio import Redis

from llm.errors import ErrorKind, LlmError

logger = logging.getLogger(__name__)

SCRIPT = (Path(__file__).parent / "breaker.lua").read_text()
THRESHOLD = 8
OPEN_SECONDS = 10.0
PROBE_SECONDS = 30  # after which a probe without an outcome makes room for another one
TRUST_SECONDS = 0.25  # how long a process relies on having seen a breaker healthy: closed and without failures
KEEP_SECONDS = 30 * 24 * 3600  # since the last call for the whole key, since it was set for a hold
CHANGES_KEPT = 20  # of each model

Hold = Literal["open", "closed"]
Outcome = Literal["answered", "failed", "abandoned"]
CLOSED, OPENED, HALF_OPENED = "closed", "opened", "half-opened"
HELD_OPEN, HELD_CLOSED = "held open", "held closed"
STATES = (CLOSED, OPENED, HALF_OPENED, HELD_OPEN, HELD_CLOSED)


class Change(NamedTuple):
    """A breaker's move to another state; `by` is the member of staff who asked for it, "" if nobody did."""

    at: datetime
    model: str
    state: str
    by: str


class _Entry(NamedTuple):
    """A call that the breaker let through. `at` is the time by the clock of Redis."""

    model: str
    token: str
    at: str
    is_probe: bool
    is_healthy: bool


class Breakers:
    """The breakers as one process sees them. `prefix` precedes their keys in Redis."""

    def __init__(self, redis: Redis, prefix: str = "") -> None:
        self._redis = redis
        self._prefix = prefix
        self._healthy: dict[str, tuple[float, _Entry]] = {}  # until when to rely on it, and the entry that saw it
        self._tasks: set[asyncio.Task[None]] = set()

    async def check(self, model: str) -> None:
        """Raise LlmError PAUSED if a call could not be made now. Unlike `guard` it makes no call the probe."""
        await self._enter(model, token="")

    @asynccontextmanager
    async def guard(self, model: str) -> AsyncIterator[None]:
        """Guard one call. Raises LlmError PAUSED if it may not be made; counts its failure.

        Only ErrorKind.TRANSIENT is a failure of the upstream. Every other error is an answer and shows that it is up,
        also one that cannot be read (GARBLED): one person's question, or a setting, must not stop everybody's calls.
        """
        entry = await self._enter(model, token=uuid.uuid4().hex)
        try:
            yield
        except LlmError as error:
            await self._leave(entry, "failed" if error.kind is ErrorKind.TRANSIENT else "answered")
            raise
        except (asyncio.CancelledError, Exception):
            await self._leave(entry, "abandoned")
            raise
        await self._leave(entry, "answered")

    async def hold(self, model: str, state: Hold | None, by: str = "staff") -> None:
        """Hold the model's breaker open or closed for KEEP_SECONDS; None releases it. RedisError without Redis."""
        self._healthy.pop(model, None)
        change = await _run(self._redis, model, "hold", state or "", quote(by, safe=""), prefix=self._prefix)
        logger.warning("breaker of %s: %s, by %s", model, change, by)

    async def _enter(self, model: str, token: str) -> _Entry | None:
        """Ask whether the call may go, unless the breaker was healthy just now. None: the outcome does not count.

        Without a token the call cannot become the probe.
        """
        until, seen = self._healthy.get(model, (0.0, None))
        if seen and time.monotonic() < until:
            return seen
        if seen:  # one call asks; hundreds that begin meanwhile rely on the last answer
            self._healthy[model] = time.monotonic() + TRUST_SECONDS, seen
        asking = asyncio.ensure_future(self._ask(model, token))
        try:
            state, may_call, at, failures = await asyncio.shield(asking)
        except asyncio.CancelledError:  # Redis may have made this call its probe, or may be about to
            await self._to_the_end(self._abandon(asking, model, token))
            raise
        except Exception as error:
            self._healthy.pop(model, None)
            _warn("no circuit breaker", error)
            return None
        entry = _Entry(model, token, at, is_probe=state == HALF_OPENED, is_healthy=state == CLOSED and not failures)
        if entry.is_healthy:
            self._healthy[model] = time.monotonic() + TRUST_SECONDS, entry
        else:
            self._healthy.pop(model, None)
        if not may_call:
            wait = OPEN_SECONDS / 2 if state == HALF_OPENED else OPEN_SECONDS
            raise LlmError(ErrorKind.PAUSED, f"the circuit breaker of {model} is open", wait, model=model)
        if entry.is_probe:
            logger.warning("breaker of %s: %s", model, state)
        return None if state == HELD_CLOSED else entry

    async def _ask(self, model: str, token: str) -> tuple[str, int, str, int]:
        state, may_call, at, failures = await _run(self._redis, model, "enter", token, prefix=self._prefix)
        return str(state), int(may_call), str(at), int(failures)

    async def _abandon(self, asking: asyncio.Future[Any], model: str, token: str) -> None:
        """Free the place of a call that was cancelled while it asked, once Redis has answered."""
        await asyncio.wait({asking})
        if asking.cancelled() or asking.exception() or not token:
            return
        await self._report(_Entry(model, token, "0", is_probe=True, is_healthy=False), "abandoned")

    async def _leave(self, entry: _Entry | None, outcome: Outcome) -> None:
        """Report an outcome to Redis, unless it cannot change anything there."""
        if entry is None or (outcome == "answered" and entry.is_healthy):
            return
        if outcome == "abandoned" and not entry.is_probe:
            return
        if outcome == "failed":
            self._healthy.pop(entry.model, None)
        await self._to_the_end(self._report(entry, outcome))

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for the work, which goes on if this task is cancelled, once or again: a probe must free its place."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _report(self, entry: _Entry, outcome: Outcome) -> None:
        try:
            change = await _run(self._redis, entry.model, "leave", entry.token, outcome, entry.at, prefix=self._prefix)
        except Exception as error:
            _warn("circuit breaker not updated", error)
        else:
            if change:
                logger.warning("breaker of %s: %s", entry.model, change)


async def state_of(redis: Redis, model: str, prefix: str = "") -> str:
    """The state of a model's breaker, one of STATES. RedisError without Redis."""
    state, _ = await _run(redis, model, "look", prefix=prefix)
    return str(state)


async def changes(redis: Redis, model: str, prefix: str = "") -> list[Change]:
    """The last changes of a model's breaker, newest first. RedisError without Redis."""
    _, lines = await _run(redis, model, "look", prefix=prefix)
    parts = [line.split("|") for line in lines.splitlines()]
    return [Change(datetime.fromtimestamp(float(at), UTC), model, state, unquote(by)) for at, state, by in parts]


def blocks(state: str) -> bool:
    """Whether a breaker in this state holds back calls, all or all but a probe."""
    return state not in (CLOSED, HELD_CLOSED)


async def _run(redis: Redis, model: str, command: str, *arguments: str, prefix: str = "") -> Any:
    limits = [THRESHOLD, OPEN_SECONDS, PROBE_SECONDS, KEEP_SECONDS, CHANGES_KEPT]
    key = f"{prefix}breaker:{{{model}}}"  # braces: one slot of a cluster, and no key that earlier releases wrote
    return await redis.register_script(SCRIPT)([key], [command, *limits, *arguments])


def _warn(what: str, error: Exception) -> None:
    """Log that Redis could not be used: calls go on without it. A reply that no check foresaw has a traceback."""
    is_away = isinstance(error, RedisError | OSError) and not isinstance(error, ResponseError)
    logger.warning("%s, Redis failed: %s", what, type(error).__name__, exc_info=None if is_away else error)
