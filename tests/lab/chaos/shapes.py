"""Replies with HTTP 200 that OpenAI never sends and that other servers, proxies and faults have sent."""

from __future__ import annotations

import json
from typing import Any

_JSON, _HTML, _EVENTS = "application/json", "text/html", "text/event-stream"
_STOP = {"index": 0, "delta": {}, "finish_reason": "stop"}


def _raw(body: str, kind: str = _JSON) -> dict[str, Any]:
    return {"status": 200, "headers": {"Content-Type": kind}, "body": body}


def _whole(value: Any) -> dict[str, Any]:
    return _raw(json.dumps(value))


def _events(*values: Any) -> dict[str, Any]:
    return _raw("".join(f"data: {json.dumps(value)}\n\n" for value in values), _EVENTS)


# Each is answered to any call: whole answers, streams and embeddings.
SHAPES = (
    _raw("<html><body>Welcome to nginx!</body></html>", _HTML),
    _raw(""),
    _raw('{"choices": [{"message": {"content": "hal'),
    _raw("data: " + "x" * 3_000_000, _EVENTS),  # a line without an end
    _raw('data: {"choices": "\xff\xfe"}\n\n', _EVENTS),  # no UTF-8
    _whole(None),
    _whole([{"choices": []}]),
    _whole({}),
    _whole({"error": "text"}),
    _whole({"choices": None, "data": None}),
    _whole({"choices": [None], "data": [None]}),
    _whole({"choices": [{"message": None}], "data": {"0": {}}}),
    _whole({"choices": [{"message": {"content": 5}}], "data": [{"index": "0", "embedding": "?"}], "usage": [1]}),
    _events(None),
    _events([1]),
    _events({"error": ["text", 1]}),
    _events({"choices": {"0": {}}}),
    _events({"choices": [{"delta": "text"}]}),
    _events({"choices": [{"delta": {"content": {"text": "x"}}}]}, {"choices": [_STOP], "usage": "none"}),
)
