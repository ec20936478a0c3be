"""Makes the reply to a chat request: composes the text by purpose, cuts it into pieces, applies faults."""

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from . import grounded, plain, structured
from .chat_request import ChatRequest
from .config import Settings
from .faults import FaultRule
from .text import estimate_tokens, pieces

REFUSED = "I'm sorry, but I can't help with that request."


@dataclass(frozen=True)
class Reply:
    """A reply ready to be sent."""

    pieces: list[str]
    finish_reason: str = "stop"
    refused: bool = False

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    def usage(self, prompt_tokens: int) -> dict[str, Any]:
        """Token counts in OpenAI's shape."""
        tokens = estimate_tokens(len(self.text))
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": prompt_tokens + tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }


def make_reply(chat: ChatRequest, settings: Settings, fault: FaultRule | None) -> Reply:
    """The reply to this request. Deterministic."""
    if fault and fault.kind == "refuse":
        return Reply(pieces(REFUSED), refused=True)
    # A leak simulates a model that follows injected instructions and recites its system prompt.
    is_leak = fault is not None and fault.kind == "leak"
    parts = pieces(f"Of course. {chat.prompt.system}" if is_leak else _text(chat))
    if fault and fault.kind == "invalid_json":
        parts = parts[: max(1, len(parts) - 2)]
    if settings.answer_tokens and chat.purpose in ("answer", "other"):
        parts = _resized(parts, settings.answer_tokens)
    if fault and fault.kind == "content_filter":
        return Reply(parts[: fault.cut_after(len(parts) // 2)], "content_filter")
    if chat.max_tokens and _fitting(parts, chat.max_tokens) < len(parts):
        return Reply(parts[: _fitting(parts, chat.max_tokens)], "length")
    return Reply(parts)


def _text(chat: ChatRequest) -> str:
    match chat.purpose:
        case "structured":
            return structured.compose(chat.schema_name, chat.schema, chat.prompt)
        case "answer":
            return grounded.compose(chat.prompt)
    return plain.compose(chat.prompt)


def _resized(parts: list[str], size: int) -> list[str]:
    """Exactly `size` pieces: the text is cut, or repeated in a new paragraph."""
    again = [f"\n\n{parts[0].lstrip()}", *parts[1:]]
    return [*parts, *islice(cycle(again), max(0, size - len(parts)))][:size]


def _fitting(parts: list[str], tokens: int) -> int:
    """The number of pieces that fit, by count and by the token estimate used for the usage."""
    length = 0
    for count, part in enumerate(parts[:tokens]):
        length += len(part)
        if length > tokens * 4:
            return count
    return min(tokens, len(parts))
