"""The journal: a log of requests with their timings, and counters."""

import asyncio
import json
import secrets
import time
from collections import Counter, deque
from typing import Any

from aiohttp import web

# Enough for the timings of a benchmark. Bodies are stored unparsed to save time.
LOGGED = 2000


class RequestRecord:
    """One API request from its arrival to its end; the first outcome counts."""

    def __init__(self, journal: "Journal", transport: asyncio.Transport | None, endpoint: str) -> None:
        self.id = f"req_{secrets.token_hex(12)}"
        self.journal = journal
        self.transport = transport
        self.endpoint = endpoint
        self.purpose = "other"
        self.model = ""
        self.stream = False
        self.raw = b""
        self.status: int | None = None
        self.outcome = "in_flight"
        self.fault: str | None = None
        self.chunks = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.received_at = time.time()
        self.first_token_at: float | None = None
        self.finished_at: float | None = None

    def left_of(self, latency: float) -> float:
        """The remaining seconds until `latency` seconds after the request arrived."""
        return max(0.0, self.received_at + latency - time.time())

    def chunk_sent(self) -> None:
        """Count a delta that was just written; called for every chunk of every stream, so keep it fast."""
        self.chunks += 1
        self.journal.last_chunk_at = time.time()
        if self.chunks == 1:
            self.first_token_at = self.journal.last_chunk_at

    def finish(self, outcome: str, status: int | None) -> None:
        """End the record: completed, failed (an error or a fault) or aborted (the client disconnected)."""
        if self.finished_at is not None:
            return
        self.finished_at = time.time()
        self.transport = None  # the log outlives connections
        self.outcome = "failed" if outcome == "completed" and self.fault else outcome
        self.status = status
        if self.first_token_at is None and self.outcome == "completed":
            self.first_token_at = self.finished_at
        if self.outcome != "completed":
            self.completion_tokens = self.chunks
        self.journal.close(self)

    def as_json(self, bodies: bool) -> dict[str, Any]:
        """The record as `GET /control/requests` shows it."""
        shown = ("id", "endpoint", "purpose", "model", "stream", "status", "outcome", "fault", "chunks")
        timings = ("received_at", "first_token_at", "finished_at")
        data = {name: getattr(self, name) for name in (*shown, *timings)}
        return data | {"body": _parsed(self.raw)} if bodies else data


class Journal:
    """Log and counters since the last reset; older requests end in the journal in which they started."""

    def __init__(self) -> None:
        self.log: deque[RequestRecord] = deque(maxlen=LOGGED)
        self.active: set[RequestRecord] = set()
        self.last_chunk_at: float | None = None
        self._aborted_at: float | None = None
        self._peak = 0
        self._outcomes: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._finished: dict[str, Counter[str]] = {"by_endpoint": Counter(), "by_purpose": Counter()}

    def open(self, request: web.Request, endpoint: str) -> RequestRecord:
        """Start the record of a request that has just arrived."""
        record = RequestRecord(self, request.transport, endpoint)
        self.log.append(record)
        self.active.add(record)
        self._peak = max(self._peak, len(self.active))
        return record

    def close(self, record: RequestRecord) -> None:
        """Add a finished record to the counters."""
        self.active.discard(record)
        self._outcomes[record.outcome] += 1
        self._tokens.update(prompt=record.prompt_tokens, completion=record.completion_tokens)
        self._finished["by_endpoint"][record.endpoint] += 1
        self._finished["by_purpose"][record.purpose] += 1
        if record.outcome == "aborted":
            self._aborted_at = record.finished_at

    def counters(self) -> dict[str, Any]:
        """The counters as the control API shows them."""
        counts = {name: Counter(counter) for name, counter in self._finished.items()}
        counts["by_endpoint"].update(record.endpoint for record in self.active)
        counts["by_purpose"].update(record.purpose for record in self.active)
        return {
            "requests": counts["by_endpoint"].total(),
            **{name: dict(counter) for name, counter in counts.items()},
            "in_flight": len(self.active),
            "peak_in_flight": self._peak,
            **{outcome: self._outcomes[outcome] for outcome in ("completed", "failed", "aborted")},
            "tokens": {kind: self._tokens[kind] for kind in ("prompt", "completion")},
            "last_chunk_at": self.last_chunk_at,
            "last_aborted_at": self._aborted_at,
        }


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")
