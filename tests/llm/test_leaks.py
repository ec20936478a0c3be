"""A stream that repeats its instructions is cut off before they are shown; every other stream passes unchanged."""

import asyncio

import pytest

from llm import leaks

RULES = "Answer only from the passages between the tags. If they do not answer, say that this is not in the course."
INSTEAD = "No."


def stopped(*pieces):
    """(the shown pieces, whether the stream was closed early)"""
    ended = []

    async def stream():
        try:
            for piece in pieces:
                yield piece
            ended.append("whole")
        finally:
            ended.append("closed")

    async def collect():
        return [text async for text in leaks.stopped(RULES, stream(), INSTEAD)]

    return asyncio.run(collect()), ended == ["closed"]


def cut(text, size):
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_recited_instructions_are_cut_off_at_any_chunk_size(size):
    shown, is_closed = stopped(*cut(f"Sure: {RULES} More.", size))
    assert "".join(shown).split() == ["Sure:", "Answer", "only", "from", INSTEAD] and is_closed


@pytest.mark.parametrize("text", [RULES.upper(), RULES.replace(" ", "\n- "), f"**{RULES}**", RULES[20:]])
def test_case_punctuation_and_a_missing_beginning_do_not_matter(text):
    assert "".join(stopped(*cut(text, 5))[0]).endswith(INSTEAD)


@pytest.mark.parametrize(
    "text",
    ["", "Yes.", "That is not in the course.", "Answer only from the passages, and then go on"],
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_other_text_passes_unchanged(text, size):
    shown, is_closed = stopped(*cut(text, size))
    assert "".join(shown) == text and not is_closed


def test_a_few_words_of_the_instructions_are_shown_at_once():
    assert stopped("That", " is", " not", " so")[0] == ["That", " is", " not", " so"]


def test_ordinary_words_are_shown_at_once():
    assert stopped("A LEFT", " JOIN", " keeps", " rows")[0] == ["A LEFT", " JOIN", " keeps", " rows"]
