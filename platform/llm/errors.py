"""The kinds of failure of an upstream call, and the one mapping from exceptions and error bodies to them."""

from __future__ import annotations

import logging
import re
import traceback
from dataclasses import dataclass
from enum import Enum

import httpx2
import openai

from llm import waits
from llm.text import clean

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Kind:
    code: str
    passing: bool
    message: str


class ErrorKind(Enum):
    """Kinds of failure: a code, whether the same call may succeed later, and the message for the person.

    TRANSIENT: the upstream does not work: no connection, a broken one, a time-out, 5xx, or an error of that kind that
    it reports after HTTP 200. Only this kind counts at the circuit breaker.
    GARBLED: the upstream works, since it answered with HTTP 200, but the answer cannot be read: no JSON, an unforeseen
    shape, a stream without its end. It was probably paid for, so the call is not repeated within the attempt.
    INVALID: an answer that can be read and has unusable content: it is empty, or does not fit its schema.
    """

    TRANSIENT = _Kind("upstream_unavailable", True, "The AI service is not answering. Your question is kept.")
    RATE_LIMITED = _Kind("upstream_busy", True, "The AI service is very busy right now. Your question is kept.")
    PAUSED = _Kind("upstream_paused", True, "The AI service has trouble right now. Your question is kept.")
    GARBLED = _Kind("upstream_garbled", True, "The AI service sent a damaged answer. Your question is kept.")
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


def from_sdk(error: Exception, api_key: str = "") -> LlmError:
    """Map any exception of a call to an LlmError, whose detail is scrubbed, also of this key. Never raises."""
    failure = _mapped(error)
    detail = scrub(failure.detail, api_key)
    return LlmError(failure.kind, detail, failure.retry_after, gently=failure.gently, model=failure.model)


def from_body(body: object) -> LlmError:
    """Map the error that an answer with HTTP 200 contains: an object in OpenAI's shape, or anything else."""
    if not isinstance(body, dict):
        return LlmError(ErrorKind.GARBLED, f"the answer is an error: {body}"[:_EXAMINED])
    code, type_ = body.get("code"), body.get("type")
    detail = f"{code or type_}: {body.get('message')}"
    return LlmError(_from_reported(code) or _from_reported(type_) or ErrorKind.GARBLED, detail)


def scrub(text: str, api_key: str = "") -> str:
    """Make upstream text safe to store and show to staff: at most 300 characters, without keys and credentials.

    `api_key` is hidden wherever it occurs, whatever its form.
    """
    text = clean(text)[:_EXAMINED]
    if len(api_key) >= _SHORTEST_KEY:
        text = text.replace(api_key, "[key]")
    return _KEYS.sub("[key]", text)[:300]


_EXAMINED = 2000  # characters of an error text; more than that is never shown
_SHORTEST_KEY = 6  # a shorter one, as local servers accept, is no secret and may be part of a word
_KEYS = re.compile(
    r"""
      \b(?:sk|pk|rk|gsk|xai|hf|nvapi|sess)[-_][\w*.-]{3,}                   # keys, also partly masked
    | \bAIza[\w*-]{10,}
    | \bBearer[\s:]+[^\s"',;<>]+
    | \b(?:proxy-)?authorization\b["']?\s*[:=]\s*["']?(?:[a-z]+\s+)?[^\s"',;<>]+
    | \b(?:api|access|subscription|secret)[-_ ]?(?:key|token)\b["']?(?:\s+provided)?\s*[:=]\s*["']?[^\s"',;<>]+
    | (?<=[?&])(?:key|token|sig|code)=[^\s&"'<>]+
    | (?<=://)[^\s/@:]{1,100}:[^\s/@]{1,200}(?=@)                           # user and password of an address
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _mapped(error: Exception) -> LlmError:
    match error:
        case LlmError():
            return error
        case openai.APIStatusError():
            return _from_status(error)
        case httpx2.DecodingError():
            return LlmError(ErrorKind.GARBLED, "the answer's compression is damaged")
        case openai.APIConnectionError() | OSError() | EOFError():  # OSError includes TimeoutError
            return LlmError(ErrorKind.TRANSIENT, f"{type(error).__name__}: {error.__cause__ or error}")
    if type(error).__module__.startswith(("httpx", "aiohttp")):
        return LlmError(ErrorKind.TRANSIENT, f"{type(error).__name__}: {error}")
    # A reply that no check foresaw, or a fault of ours. Without the exception's text, which may quote an answer.
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("an upstream reply raised an unforeseen %s:\n%s", type(error).__name__, where)
    return LlmError(ErrorKind.GARBLED, f"the answer raised an unforeseen {type(error).__name__}")


def _from_status(error: openai.APIStatusError) -> LlmError:
    kind = _from_code(error.code) or _of_status(error.status_code)
    detail = f"HTTP {error.status_code} {error.code or ''} (request {(error.request_id or 'unknown')[:80]})"
    if kind is not ErrorKind.AUTH:  # its message quotes part of the key
        detail += f": {error.message}"
    return LlmError(kind, detail, waits.wanted(error.response.headers), gently=error.code == "slow_down")


_KIND_OF_STATUS = {
    401: ErrorKind.AUTH,
    403: ErrorKind.AUTH,
    408: ErrorKind.TRANSIENT,
    409: ErrorKind.TRANSIENT,
    429: ErrorKind.RATE_LIMITED,
}


def _of_status(status: int) -> ErrorKind:
    if status < 400:  # a redirect that leads nowhere: OPENAI_BASE_URL is wrong
        return ErrorKind.AUTH
    return _KIND_OF_STATUS.get(status) or (ErrorKind.TRANSIENT if status >= 500 else ErrorKind.BAD_REQUEST)


_KIND_OF_CODE = {
    "insufficient_quota": ErrorKind.QUOTA,
    "billing_hard_limit_reached": ErrorKind.QUOTA,
    "billing_not_active": ErrorKind.QUOTA,
    "content_filter": ErrorKind.REFUSED,
    "content_policy_violation": ErrorKind.REFUSED,
    "invalid_api_key": ErrorKind.AUTH,
    "rate_limit_exceeded": ErrorKind.RATE_LIMITED,
    "slow_down": ErrorKind.RATE_LIMITED,
}
# As `code` or `type` of an error after HTTP 200, where no status says more.
_KIND_OF_REPORTED = {
    "server_error": ErrorKind.TRANSIENT,
    "internal_error": ErrorKind.TRANSIENT,
    "internal_server_error": ErrorKind.TRANSIENT,
    "overloaded": ErrorKind.TRANSIENT,
    "overloaded_error": ErrorKind.TRANSIENT,
    "service_unavailable": ErrorKind.TRANSIENT,
    "invalid_request_error": ErrorKind.BAD_REQUEST,
    "context_length_exceeded": ErrorKind.BAD_REQUEST,
}


def _from_code(code: object) -> ErrorKind | None:
    return _KIND_OF_CODE.get(code) if isinstance(code, str) else None


def _from_reported(code: object) -> ErrorKind | None:
    """The kind for the code or type of an error after HTTP 200; some servers write an HTTP status there."""
    text = str(code)[:40]
    if text.isdecimal() and 400 <= int(text) < 600:
        return _of_status(int(text))
    return _KIND_OF_CODE.get(text) or _KIND_OF_REPORTED.get(text)
