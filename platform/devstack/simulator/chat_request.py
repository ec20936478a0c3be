"""Parses and validates chat completion requests as OpenAI does, and determines their purpose."""

import json
import re
from dataclasses import dataclass
from typing import Any

from .errors import ApiError, bad_request, context_length_exceeded, model_not_found
from .prompt import Prompt, text_of
from .schema import check_strict
from .text import estimate_tokens

CONTEXT_TOKENS = 128_000
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_SCHEMA_NAME = re.compile(r"[\w-]{1,64}")


@dataclass(frozen=True)
class ChatRequest:
    """The parts of a valid request that determine the answer."""

    model: str
    prompt: Prompt
    stream: bool
    include_usage: bool
    max_tokens: int | None
    response_format: str
    schema_name: str
    schema: dict[str, Any] | None
    prompt_tokens: int

    @property
    def purpose(self) -> str:
        """The purpose of this call, derived from the response format and the prompt's tags."""
        return "structured" if self.response_format != "text" else self.prompt.purpose


def parse_json(raw: bytes) -> dict[str, Any]:
    """The JSON object of a request body, or OpenAI's 400."""
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise bad_request(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
            "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
            "valid JSON.)"
        )
    return body


def parse_model(body: dict[str, Any]) -> str:
    """The model of a request; names that start with "missing-" do not exist (404)."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise bad_request("you must provide a model parameter")
    if model.startswith("missing-"):
        raise model_not_found(model)
    return model


def parse_chat(body: dict[str, Any]) -> ChatRequest:
    """Validate and parse a chat request. Raises ApiError with OpenAI's answer to an invalid one."""
    model, messages = parse_model(body), _messages(body)
    texts = [text_of(message) for message in messages]
    tokens = estimate_tokens(sum(map(len, texts)))
    if tokens > CONTEXT_TOKENS:
        raise context_length_exceeded(CONTEXT_TOKENS, tokens, "messages")
    stream, options = bool(body.get("stream")), body.get("stream_options") or {}
    if not isinstance(options, dict):
        raise bad_request("Invalid type for 'stream_options': expected an object.", "stream_options")
    if options and not stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise bad_request(message, "stream_options")
    kind, schema_name, schema = _response_format(body.get("response_format"), texts)
    return ChatRequest(
        model=model,
        prompt=Prompt(messages),
        stream=stream,
        include_usage=bool(options.get("include_usage")),
        max_tokens=_max_tokens(body),
        response_format=kind,
        schema_name=schema_name,
        schema=schema,
        prompt_tokens=tokens,
    )


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    if messages is None:
        raise _missing("messages")
    if not isinstance(messages, list) or not messages:
        message = "Invalid 'messages': expected an array with minimum length 1."
        raise bad_request(message, "messages", "empty_array")
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    return messages


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, dict):
        raise bad_request(f"Invalid type for '{where}': expected an object.", where, "invalid_type")
    if message.get("role") not in ROLES:
        text = f"Invalid value: {message.get('role')!r}. Supported values are: {', '.join(map(repr, ROLES))}."
        raise bad_request(text, f"{where}.role", "invalid_value")
    content = message.get("content")
    if not isinstance(content, str | list) and not (content is None and message["role"] == "assistant"):
        text = f"Invalid value for 'content': expected a string, got {json.dumps(content)[:40]}."
        raise bad_request(text, f"{where}.content", "invalid_type")


def _max_tokens(body: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            raise bad_request(f"Invalid type for '{name}': expected an integer.", name, "invalid_type")
        if value < 1:
            message = f"Invalid '{name}': integer below minimum value. Expected a value >= 1."
            raise bad_request(message, name, "integer_below_min_value")
        return value
    return None


def _response_format(wanted: Any, texts: list[str]) -> tuple[str, str, dict[str, Any] | None]:
    """The type of the response format, and the name and body of its schema, if any."""
    if wanted is None:
        return "text", "", None
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "json_schema":
        return kind, *_json_schema(wanted.get("json_schema"))
    if kind == "json_object" and not any("json" in text.lower() for text in texts):
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise bad_request(message, "messages")
    if kind not in ("text", "json_object"):
        text = "Invalid value. Supported values are: 'json_object', 'json_schema', and 'text'."
        raise bad_request(text, "response_format.type", "invalid_value")
    return kind, "", None


def _json_schema(spec: Any) -> tuple[str, dict[str, Any]]:
    schema = spec.get("schema") if isinstance(spec, dict) else None
    if not isinstance(schema, dict):
        raise _missing("response_format.json_schema")
    if not _SCHEMA_NAME.fullmatch(str(spec.get("name", ""))):
        where = "response_format.json_schema.name"
        message = f"Invalid '{where}': string does not match pattern '^[a-zA-Z0-9_-]+$'."
        raise bad_request(message, where, "invalid_value")
    if spec.get("strict"):
        check_strict(schema)
    return spec["name"], schema


def _missing(param: str) -> ApiError:
    return bad_request(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
