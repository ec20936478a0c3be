"""Fault rules: which requests fail, how, and how often."""

import random
from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import ApiError, rate_limited

ENDPOINTS = ("chat", "embeddings", "*")
PURPOSES = ("answer", "rewrite", "summary", "structured", "embedding", "other")
# kind: status, error type, error code, message
_ERRORS: dict[str, tuple[int, str, str | None, str]] = {
    "429": (429, "requests", "rate_limit_exceeded", "Rate limit reached (injected fault)."),
    "slow_down": (429, "requests", "slow_down", "Slow down: your request rate rose too quickly."),
    "quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "500": (500, "server_error", None, "The server had an error while processing your request."),
    "503": (503, "server_error", None, "The engine is currently overloaded, please try again later."),
    "400": (400, "invalid_request_error", None, "Invalid request (injected fault)."),
    "401": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided (injected fault)."),
}
CHAT_KINDS = ("leak", "refuse", "content_filter", "invalid_json")
KINDS = (*_ERRORS, *CHAT_KINDS, "hang", "disconnect", "stall", "garbage", "raw")
_WHOLE, _ANY = (int,), (int, float)
_NUMBERS = {"times": _WHOLE, "afterTokens": _WHOLE, "probability": _ANY, "retryAfter": _ANY, "status": _WHOLE}


@dataclass
class FaultRule:
    """One rule; `times` counts down (None: unlimited), `purpose` and `model` restrict it to some requests.

    Kind "raw" answers with `status`, `headers` and `body`, each character of which is one byte (Latin-1).
    """

    endpoint: str
    kind: str
    times: int | None = None
    probability: float = 1.0
    retryAfter: float | None = None
    afterTokens: int | None = None
    model: str | None = None
    purpose: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    def matches(self, endpoint: str, purpose: str, model: str) -> bool:
        """Whether the rule applies to this request; a fault kind that the request cannot have never applies."""
        if self.model not in (None, model):
            return False
        if self.times == 0 or self.endpoint not in ("*", endpoint) or self.purpose not in (None, purpose):
            return False
        if self.kind == "invalid_json":
            return purpose == "structured"
        return endpoint == "chat" or self.kind not in CHAT_KINDS

    def cut_after(self, default: int = 5) -> int:
        """The number of chunks sent before a broken stream ends."""
        return default if self.afterTokens is None else self.afterTokens


class FaultBook:
    """The active rules in order; the first that matches a request applies."""

    def __init__(self, rules: tuple[dict[str, Any], ...] = ()) -> None:
        self._rules = [parse_rule(rule) for rule in rules]
        # Seeded, so that the same sequence of requests gets the same faults.
        self._random = random.Random(20)

    def add(self, data: Any) -> None:
        """Append a rule given as JSON; ValueError describes what is invalid."""
        self._rules.append(parse_rule(data))

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """The rules that can still apply."""
        return [asdict(rule) for rule in self._rules if rule.times != 0]

    def take(self, endpoint: str, purpose: str, model: str) -> FaultRule | None:
        """The rule that applies to this request, counted as used."""
        for rule in self._rules:
            if rule.matches(endpoint, purpose, model) and self._random.random() < rule.probability:
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None


def parse_rule(data: Any) -> FaultRule:
    """Parse a rule given as JSON; ValueError describes what is invalid."""
    if not isinstance(data, dict):
        raise ValueError("a fault rule must be an object")
    unknown = set(data) - set(FaultRule.__dataclass_fields__)
    if unknown:
        raise ValueError(f"unknown key in fault rule: {', '.join(sorted(unknown))}")
    rule = FaultRule(**{"endpoint": "*", "kind": "", **data})
    _one_of("kind", rule.kind, KINDS)
    _one_of("endpoint", rule.endpoint, ENDPOINTS)
    if rule.purpose is not None:
        _one_of("purpose", rule.purpose, PURPOSES)
    if rule.endpoint == "embeddings" and rule.kind in CHAT_KINDS:
        raise ValueError(f"fault kind {rule.kind!r} is for chat only")
    _check_numbers(rule)
    return rule


def error_of(rule: FaultRule) -> ApiError | None:
    """The error response of an error kind; None for other kinds."""
    if rule.kind not in _ERRORS:
        return None
    status, kind, code, message = _ERRORS[rule.kind]
    if status == 429:
        return rate_limited(message, kind, rule.retryAfter, code)
    return ApiError(status, message, kind, code=code)


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"fault {name} {value!r} is not one of: {', '.join(allowed)}")


def _check_numbers(rule: FaultRule) -> None:
    for name, kinds in _NUMBERS.items():
        value = getattr(rule, name)
        if value is None and name not in ("probability", "status"):
            continue
        if isinstance(value, bool) or not isinstance(value, kinds) or value < 0:
            raise ValueError(f"fault {name} does not accept {value!r}")
    if rule.probability > 1:
        raise ValueError("fault probability is at most 1")
