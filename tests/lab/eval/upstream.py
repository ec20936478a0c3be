"""The upstream of an evaluation: the simulator, or OpenAI where there is a key; and what that will cost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.servers.stack import SIMULATOR_KEY, Stack
from tests.lab import rig

if TYPE_CHECKING:
    from llm.client import Llm

AT_ONCE = ("--first-token=0", "--token-interval=0", "--rewrite-latency=0", "--embedding-latency=0")
QUIET = {"LOG_LEVEL": "WARNING"}
PROMPT_TOKENS, ANSWER_TOKENS = 2600, 250  # of one question: rules and six passages; a short answer


def own_stack(uses_openai: bool) -> AbstractContextManager[tuple[Stack, Path]]:
    """Servers for the length of the block. OpenAI keeps its own rate limits, the simulator has none."""
    if uses_openai:
        return rig.own_stack("eval", QUIET, not_used=("DATABASE_URL", "REDIS_URL"))
    return rig.own_stack("eval", QUIET | rig.RATE, AT_ONCE)


def uses_openai() -> bool:
    """Whether the environment names an account."""
    return os.environ.get("OPENAI_API_KEY", SIMULATOR_KEY) != SIMULATOR_KEY


def llm() -> Llm:
    """The gateway as the workers use it, at the lowest priority. Must be called on a running event loop."""
    from jobs.backends import upstream
    from llm.governor import Caller

    return upstream.llm(lambda call: None, Caller(priority=2, flow="eval"))


def estimate(texts: Sequence[str], questions: Sequence[str]) -> str:
    """What a run will cost with OpenAI, in words. `texts` are embedded, as are the questions, twice."""
    from django.conf import settings

    from llm.prices import cost_of
    from llm.tokens import estimate as tokens

    embedded = sum(map(tokens, [*texts, *questions, *questions]))
    parts: list[tuple[str, Decimal | None]] = [
        (settings.LLM_EMBEDDING_MODEL, cost_of(settings.LLM_EMBEDDING_MODEL, embedded, 0, 0)),
        (
            settings.LLM_CHAT_MODEL,
            cost_of(settings.LLM_CHAT_MODEL, len(questions) * PROMPT_TOKENS, 0, len(questions) * ANSWER_TOKENS),
        ),
    ]
    costs = ", ".join(f"{model}: {'price unknown' if cost is None else f'{cost:.3f} USD'}" for model, cost in parts)
    return f"this asks OpenAI {len(questions)} questions; about {costs}"
