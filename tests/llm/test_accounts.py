"""Prices, estimates and scrubbed texts."""

from decimal import Decimal

import pytest

from llm.errors import scrub
from llm.prices import cost_of
from llm.tokens import estimate


def test_cost_counts_fresh_cached_and_output_tokens_separately():
    # gpt-4.1-mini: 0.40 fresh, 0.10 cached, 1.60 output per million
    assert cost_of("gpt-4.1-mini", 1_000_000, 400_000, 500_000) == Decimal("0.24") + Decimal("0.04") + Decimal("0.80")


def test_dated_model_has_the_price_of_its_family():
    assert cost_of("gpt-4.1-mini-2025-04-14", 1000, 0, 10) == cost_of("gpt-4.1-mini", 1000, 0, 10)


def test_cost_of_an_unknown_model_is_unknown_not_zero():
    assert cost_of("somebody-elses-model", 1000, 0, 1000) is None


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_estimate_rounds_up(text, tokens):
    assert estimate(text) == tokens


@pytest.mark.parametrize(
    "text", ["Incorrect API key provided: sk-wrong***cdef.", "Authorization: Bearer sk-abc123", "sk-proj-abc_DEF-123"]
)
def test_keys_are_scrubbed(text):
    assert "[key]" in scrub(text)
    assert "abc" not in scrub(text)
    assert "cdef" not in scrub(text)


def test_scrubbed_text_is_bounded():
    assert len(scrub("x" * 5000)) == 300
