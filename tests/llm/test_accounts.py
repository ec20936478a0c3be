"""Prices, estimates and scrubbed texts."""

from decimal import Decimal

import pytest

from llm.errors import scrub
from llm.prices import cost_of
from llm.tokens import cut, estimate


def test_cost_counts_fresh_cached_and_output_tokens_separately():
    # gpt-4.1-mini: 0.40 fresh, 0.10 cached, 1.60 output per million
    assert cost_of("gpt-4.1-mini", 1_000_000, 400_000, 500_000) == Decimal("0.24") + Decimal("0.04") + Decimal("0.80")


def test_dated_model_has_the_price_of_its_family():
    assert cost_of("gpt-4.1-mini-2025-04-14", 1000, 0, 10) == cost_of("gpt-4.1-mini", 1000, 0, 10)


def test_cost_is_never_negative():
    assert cost_of("gpt-4.1-mini", 100, 400, 0) == cost_of("gpt-4.1-mini", 100, 100, 0) > 0


def test_cost_of_an_unknown_model_is_unknown_not_zero():
    assert cost_of("somebody-elses-model", 1000, 0, 1000) is None


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_estimate_rounds_up(text, tokens):
    assert estimate(text) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"), [("学" * 600, 600), ("Grüße", 3), ("\ud83d", 1), ("abcd\N{GRINNING FACE}", 2)]
)
def test_other_characters_than_ascii_count_as_a_token_each(text, tokens):
    assert estimate(text) == tokens


@pytest.mark.parametrize("text", ["a" * 1000, "学" * 1000, "a学" * 500, ""])
@pytest.mark.parametrize("tokens", [1, 10, 99, 249])
def test_cut_text_fits_and_is_marked(text, tokens):
    short = cut(text, tokens)
    assert estimate(short) <= tokens
    assert short == "…" * bool(text) or short.endswith("…") or not text
    assert estimate(short) >= tokens - 1 or not text
    assert cut(text, 1000) == text


@pytest.mark.parametrize(
    "text",
    [
        "api-key: K3Y", "x-api-key=K3Y", '{"api_key": "K3Y"}', "Incorrect API key provided: K3Y", "Authorization: K3Y",
        "Authorization: Basic K3Y", "authorization=Bearer K3Y", "Bearer K3Y", "Ocp-Apim-Subscription-Key: K3Y",
        "access_token=K3Y", "https://user:K3Y@host/v1", "GET /v1?key=K3Y", "AIzaK3YK3YK3YK3Y", "gsk_K3YK3Y",
        "the OwnK3Y is",
    ],
)  # fmt: skip
def test_credentials_of_any_form_are_scrubbed(text):
    assert "K3Y" not in scrub(text, api_key="OwnK3Y")
    assert "[key]" in scrub(text, api_key="OwnK3Y")


def test_other_texts_stay_as_they_are():
    text = "Rate limit reached for gpt-4.1-mini: limit 3000 tokens, key concepts, bearer of news"
    assert scrub(text, api_key="x").replace("bearer of", "[key]") == text.replace("bearer of", "[key]")


@pytest.mark.parametrize(
    "text", ["Incorrect API key provided: sk-wrong***cdef.", "Authorization: Bearer sk-abc123", "sk-proj-abc_DEF-123"]
)
def test_keys_are_scrubbed(text):
    assert "[key]" in scrub(text)
    assert "abc" not in scrub(text)
    assert "cdef" not in scrub(text)


def test_scrubbed_text_is_bounded():
    assert len(scrub("x" * 5000)) == 300
