"""Amounts and dates come from rows; invented ones are removed, however the text is split into deltas."""

from itertools import pairwise

import pytest

from landing.quotes import CONTACT, INSTEAD, MAX_TOKEN_CHARS, Quoting, amounts_in, fill, mask

VALUES = {"price:sql": "€49", "start:sql": "2 March 2027", "seats:sql": "7", "price:" + "x" * 50: "€1"}
STATED = amounts_in(["Cancel until 1 May 2027 for a fee of **10 €**, with 20% off."])

QUOTED = {
    "It costs {{price:sql}}.": "It costs €49.",
    "It costs {{ Price:SQL }} and starts on {{start:sql}}.": "It costs €49 and starts on 2 March 2027.",
    "€{{price:sql}}, or {{price:sql}} EUR": "€49, or €49",
    "**{{price:sql}}**, {{seats:sql}} seats": "**€49**, 7 seats",
    "{{price:" + "x" * 50 + "}}": "€1",
    "I do not know; {{contact}}.": f"I do not know; {CONTACT}.",
    "{{price:other}}": INSTEAD,
    "{{config.SECRET_KEY}}": INSTEAD,
}
MADE_UP = [
    "€49", "49 €", "49€", "EUR 49", "49 EUR", "49,90 euros", "49,- €", "$1,200.50", "1 200 USD", "1.200,50 EUR",
    "**49** €", "€ **49**", "forty-nine euros", "two hundred and fifty dollars", "&euro;49", "&#8364;49", "CHF 120",
    "30 %", "30%", "30 percent", "2027-03-02", "02.03.2027", "3/2/27", "2 March 2027", "2nd of March", "March 2, 2027",
    "March 2nd", "March 2027", "2. März 2027", "2 de marzo de 2027", "1er janvier 2027", "Mar. 2, 2027", "5 May",
]  # fmt: skip
HARMLESS = [
    "The course has 12 lessons in 4 parts, for 24/7 access.",
    "You may start; we march on. Beekeeping in your first year, 3 hours a week.",
    "Ask for SELECT, {braces} and {{ half a placeholder",
    "Section 2.1 of 2027 pages & more; a cent saved, percent signs, euros.",
]


def shown(text, cuts):
    quoting = Quoting(VALUES, STATED)
    ends = [0, *cuts, len(text)]
    return "".join([*(quoting.feed(text[a:b]) for a, b in pairwise(ends)), quoting.end()])


def every_way(text):
    """The text whole, letter by letter, and split once at every position."""
    yield []
    yield list(range(1, len(text)))
    yield from ([at] for at in range(1, len(text)))


@pytest.mark.parametrize(("text", "expected"), QUOTED.items(), ids=range(len(QUOTED)))
def test_placeholders_become_values_of_rows(text, expected):
    assert {shown(text, cuts) for cuts in every_way(text)} == {expected}


@pytest.mark.parametrize("amount", MADE_UP)
def test_invented_amounts_and_dates_are_removed(amount):
    text = f"The course is {amount}, I think."
    assert {shown(text, cuts) for cuts in every_way(text)} == {f"The course is {INSTEAD}, I think."}
    assert shown(amount, []) == INSTEAD


@pytest.mark.parametrize("text", HARMLESS)
def test_other_numbers_and_words_are_kept(text):
    assert {shown(text, cuts) for cuts in every_way(text)} == {text}


def test_only_exact_amounts_written_by_staff_may_be_repeated():
    text = "Until 1 May 2027, for 10 € or 20 %; not 100 € and not until 1 May 2028."
    kept = f"Until 1 May 2027, for 10 € or 20 %; not {INSTEAD} and not until {INSTEAD}."
    assert {shown(text, cuts) for cuts in every_way(text)} == {kept}


def test_little_text_is_held_back():
    quoting = Quoting(VALUES)
    assert quoting.feed("A course for ana") == "A course for "
    assert quoting.feed("lysts. ") == "analysts. "
    assert quoting.feed("{" * MAX_TOKEN_CHARS * 2)
    assert len(quoting.feed("1" * 5000)) > 4000


def test_staff_texts_are_filled_in_and_keep_their_own_amounts():
    assert fill("{{price:sql}} and 5 € for {{nothing:here}}", VALUES) == f"€49 and 5 € for {INSTEAD}"


def test_earlier_answers_lose_their_figures():
    assert mask("It costs €49 and starts on 2 March 2027.") == "It costs … and starts on …."
