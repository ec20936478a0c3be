"""The record of one upstream call: its purpose, usage, cost and duration."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from llm.errors import from_sdk
from llm.prices import cost_of
from llm.text import clean
from llm.tokens import estimate

LARGEST_COUNT = 2**31 - 1  # tokens that a row can hold


@dataclass
class Call:
    """One request to the upstream. Times are in milliseconds, the cost in US dollars (None: the price is unknown).

    `input_text` is the text of the prompt, from which its tokens are estimated.
    """

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
    is_billable: bool = False  # the upstream accepted the request: it answered HTTP 200, or worked until the time-out
    _began: float = field(default_factory=time.perf_counter, repr=False)
    _output: list[str] = field(default_factory=list, repr=False)

    def accepted(self, upstream_id: str) -> None:
        """Record that the upstream answered HTTP 200, under this id of its own."""
        self.is_billable = True
        self.upstream_id = clean(upstream_id)

    def got_first_token(self) -> None:
        """Record the time to the first token; later calls change nothing."""
        if self.first_token_ms is None:
            self.first_token_ms = self._elapsed_ms()

    def got_text(self, text: str) -> None:
        """Record a piece of the answer. Its tokens are estimated from it if the upstream does not report them."""
        self.got_first_token()
        self._output.append(text)

    def got_usage(self, usage: object) -> None:
        """Record the usage that the upstream reported. A part that is no plausible number counts as not reported."""
        if not isinstance(usage, dict):
            return
        details = usage.get("prompt_tokens_details")
        self.input_tokens = _count(usage.get("prompt_tokens")) or self.input_tokens
        self.output_tokens = _count(usage.get("completion_tokens")) or self.output_tokens
        cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
        self.cached_tokens = min(cached or self.cached_tokens, self.input_tokens)

    def end(self, outcome: str) -> None:
        """Close the record. Estimate the tokens that were not reported, if the upstream may bill them.

        It may if it accepted the request, and if we cancelled the call. A request that it refused (4xx, 5xx), or that
        did not reach it, is free.
        """
        self.outcome = outcome
        self.duration_ms = self._elapsed_ms()
        if self.is_billable or outcome == "cancelled":
            if not self.input_tokens:
                self.input_tokens, self.estimated = estimate(self.input_text), True
            if not self.output_tokens and self._output:
                self.output_tokens, self.estimated = estimate("".join(self._output)), True
        self.cost = cost_of(self.model, self.input_tokens, self.cached_tokens, self.output_tokens)

    def _elapsed_ms(self) -> int:
        return round((time.perf_counter() - self._began) * 1000)


Recorder = Callable[[Call], None]


class Account:
    """Closes the records of calls and passes them to `record`. `api_key` is kept out of them."""

    def __init__(self, record: Recorder, api_key: str = "") -> None:
        self._record = record
        self._api_key = api_key

    def end(self, call: Call, outcome: str) -> None:
        """Record a call that was answered or cancelled."""
        call.end(outcome)
        self._record(call)

    def fail(self, call: Call, error: BaseException) -> BaseException:
        """Record a call that raised. Returns the exception to raise: an LlmError, or what stops the task itself."""
        if not isinstance(error, Exception):  # a cancellation, the end of a generator or of the process
            self.end(call, "cancelled")
            return error
        failure = from_sdk(error, self._api_key)
        call.error_code, call.error_detail = failure.kind.value.code, failure.detail
        self.end(call, "failed")
        return failure


def _count(reported: object) -> int:
    """A reported number of tokens; 0 for anything that cannot be one."""
    if isinstance(reported, float) and reported.is_integer():
        reported = int(reported)
    if isinstance(reported, bool) or not isinstance(reported, int):
        return 0
    return reported if 0 < reported <= LARGEST_COUNT else 0
