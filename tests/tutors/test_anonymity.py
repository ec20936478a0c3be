"""The parts of a learner's question that tutors may see."""

import pytest

from tutors.anonymity import anonymous, at_least, names_of

NAMES = names_of([("jweber7", "Jonas", "Weber"), ("mei.tanaka", "Mei", "Tanaka"), ("learner", "Will", "Anne-Marie")])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Why does NOT IN return nothing?", "Why does NOT IN return nothing?"),
        ("Write to a.b+c@mail.example.org please", "Write to [e-mail] please"),
        ("Call +49 (171) 234-56 78 or 0171 2345678!", "Call [number] or [number]!"),
        ("555-123-4567 or 123456789012", "[number] or [number]"),
        ("Is 2026-01-15 10:30:00 in (1, 2, 30000)?", "Is 2026-01-15 10:30:00 in (1, 2, 30000)?"),
        ("See https://forum.example.org/u/jonas and @jonas_w", "See [link] and [name]"),
        ("jonas, JWEBER7 and Mei's group do it otherwise", "[name], [name] and [name] group do it otherwise"),
        ("Will says a learner will see it", "[name] says a learner will see it"),
        ("Which is best, JOIN or a subquery?", "Which is best, JOIN or a subquery?"),
        ("Which of them is the best JOIN", "Which of them is the best JOIN"),
    ],
)
def test_identifying_words_are_masked_and_the_rest_stays(text, shown):
    assert anonymous(text, NAMES) == shown


@pytest.mark.parametrize(
    "text",
    ["My name is Zoe. Why NULL?", "Ich heiße Zoe", "Why NULL?\nThanks,\nZoe", "Why NULL? Best, Zoe Quinn", "LG Zoe"],
)
def test_question_that_introduces_or_signs_itself_is_withheld(text):
    assert anonymous(text, NAMES) is None


@pytest.mark.parametrize(
    "text",
    ["anna.b@x.org", "a@b.c@d.e", "x@y.zz+q@w.vv", "@a@b.example", "Anna <anna@x.y.example>.", "a@b.c@d"],
)
def test_no_part_of_an_address_is_left(text):
    shown = anonymous(f"Ask {text}", NAMES)
    assert shown.startswith("Ask ") and "[e-mail]" in shown and "@" not in shown


@pytest.mark.parametrize("text", ["NULL @ 5.30?", "a@b", "@ x.y", "1.5 + x.y"])
def test_what_is_no_address_stays(text):
    assert "[e-mail]" not in anonymous(text, NAMES)


@pytest.mark.parametrize("gap", ["\n" * 3000, ", " + "\n" * 3000, ",\t\n "])
def test_signature_is_found_behind_any_gap(gap):
    assert anonymous(f"Why NULL? Best{gap}Zoe Quinn.\n", NAMES) is None
    assert anonymous(f"Why is x best{gap}x", NAMES) is not None


def test_small_numbers_of_learners_are_hidden():
    assert [at_least(count) for count in (0, 2, 3, 40)] == [None, None, 3, 40]
