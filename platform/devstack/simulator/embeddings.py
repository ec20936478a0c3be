"""POST /v1/embeddings."""

import asyncio
import base64
import sys
from array import array
from typing import Any

from aiohttp import web

from .chat_request import parse_json, parse_model
from .errors import bad_request, context_length_exceeded
from .state import RECORD, SIMULATOR, meet_fault
from .streaming import send_json
from .text import estimate_tokens
from .vectors import embed

MOST_INPUTS, INPUT_TOKENS, REQUEST_TOKENS, MOST_DIMENSIONS = 2048, 8192, 300_000, 3072


async def embeddings(request: web.Request) -> web.StreamResponse:
    """Answer with a vector for every input."""
    simulator, record = request.app[SIMULATOR], request[RECORD]
    record.purpose = "embedding"
    body = parse_json(record.raw)
    record.model = str(body.get("model") or "")
    model, inputs = parse_model(body), _inputs(body)
    dimensions, encoding = _dimensions(body), _encoding(body)
    record.prompt_tokens = sum(estimate_tokens(len(text)) for text in inputs)
    fault = await meet_fault(request, record)
    simulator.limits.admit(model, record.prompt_tokens)
    vectors = await _embed_all(inputs, dimensions)
    await asyncio.sleep(record.left_of(simulator.settings.embedding_latency))
    encode = _as_base64 if encoding == "base64" else _as_floats
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": record.prompt_tokens, "total_tokens": record.prompt_tokens}
    return await send_json(request, {"object": "list", "data": data, "model": model, "usage": usage}, record, fault)


def _inputs(body: dict[str, Any]) -> list[str]:
    given = body.get("input")
    inputs: Any = [given] if isinstance(given, str) else given
    if not isinstance(inputs, list) or not inputs or not all(text and isinstance(text, str) for text in inputs):
        raise bad_request("'$.input' is invalid. Please check the API reference.", "input")
    if len(inputs) > MOST_INPUTS:
        message = f"'$.input' is invalid: an array of at most {MOST_INPUTS} items is expected."
        raise bad_request(message, "input", "array_above_max_length")
    tokens = [estimate_tokens(len(text)) for text in inputs]
    if max(tokens) > INPUT_TOKENS:
        raise context_length_exceeded(INPUT_TOKENS, max(tokens), "input")
    if sum(tokens) > REQUEST_TOKENS:
        message = f"Requested {sum(tokens)} tokens, max {REQUEST_TOKENS} tokens per request"
        raise bad_request(message, "input", "max_tokens_per_request")
    return inputs


def _dimensions(body: dict[str, Any]) -> int:
    wanted = body.get("dimensions")
    if wanted is None:
        return 1536
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= MOST_DIMENSIONS:
        message = f"Invalid value for 'dimensions': expected an integer from 1 to {MOST_DIMENSIONS}."
        raise bad_request(message, "dimensions", "invalid_value")
    return wanted


def _encoding(body: dict[str, Any]) -> str:
    wanted = body.get("encoding_format") or "float"
    if wanted not in ("float", "base64"):
        message = "Invalid value for 'encoding_format'. Supported values are: 'float' and 'base64'."
        raise bad_request(message, "encoding_format", "invalid_value")
    return wanted


async def _embed_all(inputs: list[str], dimensions: int) -> list[bytes]:
    vectors = []
    for text in inputs:
        vectors.append(embed(text, dimensions))
        await asyncio.sleep(0)  # a large batch must not delay concurrent streams
    return vectors


def _as_base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode("ascii")


def _as_floats(vector: bytes) -> list[float]:
    values = array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
