"""POST /v1/chat/completions."""

import asyncio
import time
from typing import Any

from aiohttp import web

from .chat_request import ChatRequest, parse_chat, parse_json
from .config import Settings
from .journal import RequestRecord
from .replies import Reply, make_reply
from .state import RECORD, SIMULATOR, meet_fault
from .streaming import send_json, stream_reply
from .text import estimate_tokens


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a chat request, streamed or whole, with the configured latencies."""
    simulator, record = request.app[SIMULATOR], request[RECORD]
    body = parse_json(record.raw)
    record.model = str(body.get("model") or "")
    chat = parse_chat(body)
    record.purpose, record.stream = chat.purpose, chat.stream
    fault = await meet_fault(request, record)
    simulator.limits.admit(chat.model, max(chat.prompt_tokens, chat.max_tokens or 0))
    settings = simulator.settings
    reply = make_reply(chat, settings, fault)
    record.prompt_tokens = chat.prompt_tokens
    record.completion_tokens = estimate_tokens(len(reply.text))
    await asyncio.sleep(record.left_of(_latency(chat, reply, settings)))
    if chat.stream:
        return await stream_reply(request, record, chat, reply, fault=fault, interval=settings.token_interval)
    return await send_json(request, _completion(chat, reply, record), record, fault)


def _latency(chat: ChatRequest, reply: Reply, settings: Settings) -> float:
    """Seconds to the first chunk of a stream, or to the whole answer."""
    if chat.purpose == "rewrite":
        return settings.rewrite_latency
    following = 0 if chat.stream else max(0, len(reply.pieces) - 1)
    return settings.first_token + following * settings.token_interval


def _completion(chat: ChatRequest, reply: Reply, record: RequestRecord) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    if reply.refused:
        message |= {"content": None, "refusal": reply.text}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish_reason}
    return {
        "id": f"chatcmpl-{record.id[4:]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": chat.model,
        "choices": [choice],
        "usage": reply.usage(chat.prompt_tokens),
        "service_tier": "default",
        "system_fingerprint": "fp_simulator",
    }
