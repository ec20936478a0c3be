"""The upstream of an evaluation: the simulator, or OpenAI if there is a key; and what OpenAI will cost."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.servers.stack import SIMULATOR_KEY, Stack
from tests.lab import rig, upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm.client import Llm
    from llm.governor import Caller

AT_ONCE = ("--first-token=0", "--token-interval=0", "--rewrite-latency=0", "--embedding-latency=0")
QUIET = {"LOG_LEVEL": "WARNING"}
PROMPT_TOKENS, ANSWER_TOKENS = 2600, 250  # of one question: instructions and six passages; a short answer


def own_stack(uses_openai: bool) -> AbstractContextManager[tuple[Stack, Path]]:
    """Servers for the duration of the block. OpenAI enforces its own rate limits, the simulator has none."""
    if uses_openai:
        return rig.own_stack("eval", QUIET, ignored=("DATABASE_URL", "REDIS_URL"))
    return rig.own_stack("eval", QUIET | rig.RATE, AT_ONCE)


def uses_openai() -> bool:
    """Whether the environment names an account."""
    return os.environ.get("OPENAI_API_KEY", SIMULATOR_KEY) != SIMULATOR_KEY


def gateway() -> AbstractAsyncContextManager[Callable[[Caller], Llm]]:
    """The gateway with the models and limits of the settings."""
    from django.conf import settings

    from llm.config import LlmConfig
    from llm.governor import Limits

    models = (settings.LLM_CHAT_MODEL, settings.LLM_FAST_MODEL, settings.LLM_EMBEDDING_MODEL)
    config = LlmConfig(settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL, *models)
    return upstream.gateway(config, Limits(settings.LLM_REQUESTS_PER_MINUTE, settings.LLM_TOKENS_PER_MINUTE))


def estimate(texts: Sequence[str], questions: Sequence[str]) -> str:
    """A sentence with the cost of a run over OpenAI. Embedded are `texts` and, twice, the questions."""
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
