"""Prices of the models, as of one date: check all of them against the provider's price page when you change one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

AS_OF = "2026-01"


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input: Decimal
    cached_input: Decimal
    output: Decimal


def _price(input: str, cached_input: str, output: str) -> Price:
    return Price(Decimal(input), Decimal(cached_input), Decimal(output))


PRICES = {
    "gpt-5": _price("1.25", "0.125", "10.00"),
    "gpt-5-mini": _price("0.25", "0.025", "2.00"),
    "gpt-5-nano": _price("0.05", "0.005", "0.40"),
    "gpt-4.1": _price("2.00", "0.50", "8.00"),
    "gpt-4.1-mini": _price("0.40", "0.10", "1.60"),
    "gpt-4.1-nano": _price("0.10", "0.025", "0.40"),
    "gpt-4o": _price("2.50", "1.25", "10.00"),
    "gpt-4o-mini": _price("0.15", "0.075", "0.60"),
    "text-embedding-3-small": _price("0.02", "0.02", "0"),
    "text-embedding-3-large": _price("0.13", "0.13", "0"),
}
_MILLION = Decimal(1_000_000)


def cost_of(model: str, input_tokens: int, cached_tokens: int, output_tokens: int) -> Decimal | None:
    """The cost in US dollars; None, not 0, if the price of the model is unknown.

    A dated model name ("gpt-4.1-mini-2025-04-14") has the price of its family.
    """
    price = PRICES.get(re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model))
    if price is None:
        return None
    cached_tokens = min(cached_tokens, input_tokens)
    fresh = input_tokens - cached_tokens
    return (fresh * price.input + cached_tokens * price.cached_input + output_tokens * price.output) / _MILLION
