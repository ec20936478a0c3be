"""The kinds of failure of an upstream call, and the one mapping from the SDK's exceptions to them."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from enum import Enum

import openai

from llm import waits


@dataclass(frozen=True)
class _Kind:
    code: str
    passing: bool
    message: str


class ErrorKind(Enum):
    """Kinds of failure: a code, whether the same call may succeed later, and the message for the person."""

    TRANSIENT = _Kind("upstream_unavailable", True, "The AI service is not answering. Your question is kept.")
    RATE_LIMITED = _Kind("upstream_busy", True, "The AI service is very busy right now. Your question is kept.")
    PAUSED = _Kind("upstream_paused", True, "The AI service has trouble right now. Your question is kept.")
    QUOTA = _Kind("upstream_quota", False, "The AI service is not available at the moment. Staff can see why.")
    AUTH = _Kind("upstream_auth", False, "The AI service is not set up correctly. Staff can see why.")
    BAD_REQUEST = _Kind("upstream_rejected", False, "The AI service could not work with this. Try a shorter question.")
    INVALID = _Kind("upstream_invalid", False, "The AI service gave an answer that cannot be used. Please try again.")
    REFUSED = _Kind("refused", False, "The AI service declined to answer this. Try asking it in another way.")


class LlmError(Exception):
    """A failed upstream call. `detail` is for staff and contains no secret; `retry_after` is in seconds.

    `gently`: the upstream asks for a lower rate, not only for a pause. `model`: whose breaker is open, for PAUSED.
    """

    def __init__(
        self,
        kind: ErrorKind,
        detail: str,
        retry_after: float | None = None,
        *,
        gently: bool = False,
        model: str = "",
    ) -> None:
        super().__init__(f"{kind.value.code}: {detail}")
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after
        self.gently = gently
        self.model = model

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind.value.passing


def from_sdk(error: BaseException) -> LlmError:
    """Map an exception of the SDK or its transport. Raises unknown exceptions unchanged."""
    match error:
        case LlmError():
            return error
        case openai.APIStatusError():
            return _from_status(error)
        case openai.APIConnectionError() | TimeoutError() | asyncio.TimeoutError() | OSError() | EOFError():
            return LlmError(ErrorKind.TRANSIENT, f"{type(error).__name__}: {scrub(str(error.__cause__ or error))}")
        case json.JSONDecodeError():  # a proxy's error page, or a truncated answer
            return LlmError(ErrorKind.TRANSIENT, f"the answer is no JSON: {error.msg}")
        case openai.APIError():
            return from_body({"code": error.code, "type": error.type, "message": error.message})
    if type(error).__module__.startswith(("httpx", "aiohttp")):
        return LlmError(ErrorKind.TRANSIENT, f"{type(error).__name__}: {scrub(str(error))}")
    raise error


def from_body(body: dict[str, object]) -> LlmError:
    """Map an error object that arrived in mid-stream."""
    detail = scrub(f"{body.get('code') or body.get('type')}: {body.get('message')}")
    return LlmError(_from_code(body.get("code")) or ErrorKind.TRANSIENT, detail)


def scrub(text: str) -> str:
    """Make upstream text safe to store and show to staff: at most 300 characters, without keys."""
    return re.sub(r"\b(sk|Bearer)[-\s][\w*.-]+", "[key]", text)[:300]


def _from_status(error: openai.APIStatusError) -> LlmError:
    kind = _from_code(error.code) or _KIND_OF_STATUS.get(error.status_code)
    if kind is None:
        kind = ErrorKind.TRANSIENT if error.status_code >= 500 else ErrorKind.BAD_REQUEST
    detail = f"HTTP {error.status_code} {error.code or ''} (request {error.request_id})"
    if kind is not ErrorKind.AUTH:  # its message quotes part of the key
        detail += f": {scrub(error.message)}"
    return LlmError(kind, detail, waits.wanted(error.response.headers), gently=error.code == "slow_down")


_KIND_OF_STATUS = {
    401: ErrorKind.AUTH,
    403: ErrorKind.AUTH,
    408: ErrorKind.TRANSIENT,
    409: ErrorKind.TRANSIENT,
    429: ErrorKind.RATE_LIMITED,
}


def _from_code(code: object) -> ErrorKind | None:
    match code:
        case "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active":
            return ErrorKind.QUOTA
        case "content_filter" | "content_policy_violation":
            return ErrorKind.REFUSED
        case "invalid_api_key":
            return ErrorKind.AUTH
        case "rate_limit_exceeded" | "slow_down":
            return ErrorKind.RATE_LIMITED
    return None
