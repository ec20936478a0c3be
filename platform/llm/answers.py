"""Reads the JSON of answers, whole or in chunks. An unforeseen shape is an LlmError GARBLED, never a TypeError.

Details say what was expected and contain nothing of the answer, which may repeat people's words.
"""

from __future__ import annotations

import binascii
import json
import math
from array import array
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from llm.errors import ErrorKind, LlmError, from_body
from llm.text import clean, loads, parse_json

Schema = TypeVar("Schema", bound=BaseModel)


def garbled(detail: str) -> LlmError:
    """The error for an answer that cannot be read."""
    return LlmError(ErrorKind.GARBLED, detail)


def as_object(value: Any, what: str) -> dict[str, Any]:
    """Return a JSON value that has to be an object. Raises LlmError."""
    if not isinstance(value, dict):
        raise garbled(f"{what} is {type(value).__name__}, not an object")
    return value


def parsed(body: bytes) -> dict[str, Any]:
    """Parse the body of a whole answer. Raises LlmError."""
    try:
        answer = loads(
            body, with_nan=True
        )  # servers written in Python write it, as in a vector that has to be left out
    except ValueError:  # of JSON and of UTF-8
        raise garbled("the answer is empty" if not body.strip() else "the answer is no JSON") from None
    return as_object(answer, "the answer")


def content(answer: dict[str, Any]) -> str:
    """The text of a whole chat answer, "" if it has none. Raises LlmError."""
    raise_error_of(answer)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise garbled("the answer has no choices")
    choice = as_object(choices[0], "the choice")
    message = as_object(choice.get("message"), "the message")
    raise_refusal_of(choice, message)
    return clean(text_of(message.get("content")))


def text_of(content: Any) -> str:
    """The text of a message or a delta: a string, or a list of parts, of which only those of text count."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise garbled(f"the content is {type(content).__name__}, not text")
    texts = []
    for part in content:
        text = part if isinstance(part, str) else as_object(part, "a part of the content").get("text")
        if isinstance(text, str):
            texts.append(text)
    return "".join(texts)


def raise_error_of(answer: dict[str, Any]) -> None:
    """Raise LlmError if the answer reports an error."""
    if error := answer.get("error"):
        raise from_body(error)


def raise_refusal_of(choice: dict[str, Any], message: dict[str, Any]) -> None:
    """Raise LlmError REFUSED if the model or its filter declined."""
    if message.get("refusal") or choice.get("finish_reason") == "content_filter":
        raise LlmError(ErrorKind.REFUSED, "the model refused")


def fit(schema: type[Schema], text: str) -> Schema:
    """Return a structured answer as an instance of the schema, its strings cleaned. Raises LlmError INVALID."""
    try:
        return schema.model_validate_json(json.dumps(parse_json(text)))
    except ValidationError as error:
        problem = f"{error.error_count()} errors"
    except ValueError:
        problem = "it is no JSON"
    raise LlmError(ErrorKind.INVALID, f"the answer does not fit {schema.__name__}: {problem}")


def vectors(answer: dict[str, Any], count: int, width: int) -> list[list[float]]:
    """The vectors of an embedding answer, in the order of the texts. Raises LlmError.

    Servers may list them in another order, each with the `index` of its text.
    """
    raise_error_of(answer)
    data = answer.get("data")
    if not isinstance(data, list) or len(data) != count:
        raise garbled(f"the answer has {len(data) if isinstance(data, list) else 'no'} vectors for {count} texts")
    entries = [as_object(entry, "an entry of the vectors") for entry in data]
    indexes = [entry.get("index") for entry in entries]
    if any(index is not None for index in indexes):
        if any(type(index) is not int for index in indexes) or set(indexes) != set(range(count)):
            raise garbled("the indexes of the vectors are not those of the texts")
        entries.sort(key=lambda entry: entry["index"])
    return [_vector(entry.get("embedding"), width) for entry in entries]


def _vector(embedding: Any, width: int) -> list[float]:
    """Some OpenAI-compatible servers return plain numbers although base64 was requested."""
    try:
        vector = _decoded(embedding) if isinstance(embedding, str) else embedding
        if isinstance(vector, Sequence) and len(vector) == width and all(map(math.isfinite, vector)):
            return list(vector)
    except (TypeError, ValueError, OverflowError):  # of what is no base64, and of isfinite
        pass
    raise garbled(f"a vector is not {width} numbers")


def _decoded(text: str) -> Sequence[float]:
    try:
        return array("f", b64decode(text, validate=True))
    except binascii.Error:
        raise ValueError from None
