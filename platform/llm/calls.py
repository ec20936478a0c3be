"""The record of one upstream call: its purpose, usage, cost and duration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from llm.errors import from_sdk
from llm.prices import cost_of
from llm.tokens import estimate


@dataclass
class Call:
    """One request to the upstream. Times are in milliseconds, the cost in US dollars (None: the price is unknown)."""

    purpose: str
    model: str
    input_text: str = field(repr=False)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    expected_tokens: int = 0
    governor_ms: int = 0  # spent waiting for the rate governor before the call
    outcome: str = "ok"  # ok, failed or cancelled
    error_code: str = ""
    error_detail: str = ""
    upstream_id: str = ""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    cost: Decimal | None = None
    first_token_ms: int | None = None
    duration_ms: int = 0
    _began: float = field(default_factory=time.perf_counter, repr=False)

    def got_first_token(self) -> None:
        """Record the time to the first token; later calls change nothing."""
        if self.first_token_ms is None:
            self.first_token_ms = self._elapsed_ms()

    def got_usage(self, usage: dict[str, Any]) -> None:
        """Record the usage that the upstream reported."""
        self.input_tokens = usage.get("prompt_tokens", 0)
        self.output_tokens = usage.get("completion_tokens", 0)
        self.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0

    def end(self, outcome: str, output: str = "") -> None:
        """Close the record. Estimate the usage that was not reported, if tokens arrived or we cancelled the call."""
        self.outcome = outcome
        self.duration_ms = self._elapsed_ms()
        if not self.input_tokens and (self.first_token_ms is not None or outcome == "cancelled"):
            self.estimated = True
            self.input_tokens, self.output_tokens = estimate(self.input_text), estimate(output)
        self.cost = cost_of(self.model, self.input_tokens, self.cached_tokens, self.output_tokens)

    def _elapsed_ms(self) -> int:
        return round((time.perf_counter() - self._began) * 1000)


Recorder = Callable[[Call], None]


class Account:
    """Closes the records of calls and passes them to `record`."""

    def __init__(self, record: Recorder) -> None:
        self._record = record

    def end(self, call: Call, outcome: str, output: str = "") -> None:
        """Record a call that was answered or cancelled."""
        call.end(outcome, output)
        self._record(call)

    def fail(self, call: Call, error: BaseException, output: str = "") -> BaseException:
        """Record a call that raised. Returns the exception to raise: an LlmError, or the cancellation itself."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.end(call, "cancelled", output)
            return error
        failure = from_sdk(error)
        call.error_code, call.error_detail = failure.kind.value.code, failure.detail
        self.end(call, "failed", output)
        return failure
