"""Errors in the shape OpenAI sends them: `{"error": {message, type, param, code}}`."""

import math
from typing import Any


class ApiError(Exception):
    """An error answer; raising it anywhere in an API handler sends it."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind
        self.code, self.param, self.headers = code, param, headers or {}

    def body(self) -> dict[str, Any]:
        """The JSON document of the answer."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400 for a request that OpenAI would refuse to read."""
    return ApiError(400, message, param=param, code=code)


def model_not_found(model: str) -> ApiError:
    """A 404 for a model that does not exist."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(404, message, code="model_not_found")


def context_length_exceeded(limit: int, tokens: int, param: str) -> ApiError:
    """A 400 for a prompt or an input that does not fit the model."""
    message = (
        f"This model's maximum context length is {limit} tokens. However, your {param} resulted in "
        f"{tokens} tokens. Please reduce the length of the {param}."
    )
    return bad_request(message, param, "context_length_exceeded")


def missing_api_key() -> ApiError:
    """A 401 for a request without a bearer key."""
    message = (
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
    )
    return ApiError(401, message)


def invalid_api_key(key: str) -> ApiError:
    """A 401 that echoes the key partly masked, as OpenAI does: callers must not show it to people."""
    masked = f"{key[:8]}{'*' * max(4, len(key) - 12)}{key[-4:]}" if len(key) > 12 else f"{key[:2]}****"
    message = (
        f"Incorrect API key provided: {masked}. You can find your API key at "
        "https://platform.openai.com/account/api-keys."
    )
    return ApiError(401, message, code="invalid_api_key")


def rate_limited(message: str, kind: str, retry_after: float | None, code: str | None = None) -> ApiError:
    """A 429; `retry_after` in seconds becomes both Retry-After headers, None sends neither."""
    headers = {}
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
        headers["retry-after-ms"] = str(math.ceil(retry_after * 1000))
    return ApiError(429, message, kind, code=code or "rate_limit_exceeded", headers=headers)
