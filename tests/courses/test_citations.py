"""Citations of an answer are kept only if they name a passage of its prompt."""

import pytest

from courses.citations import check
from courses.grounding import PromptPassage

PASSAGES = [
    PromptPassage(lesson_id=n, lesson_title=f"Lesson {n}", heading=f"Part {n}", text="...") for n in (11, 12, 13)
]


@pytest.mark.parametrize(
    ("text", "expected", "cited"),
    [
        ("No citation.", "No citation.", []),
        ("One [1]. Two [2].", "One [1]. Two [2].", [1, 2]),
        ("Together [1][3].", "Together [1][3].", [1, 3]),
        ("Twice [2] and [2].", "Twice [2] and [2].", [2]),
        ("Listed [3, 1].", "Listed [3][1].", [1, 3]),
        ("Listed [1,9].", "Listed [1].", [1]),
        ("Invented [4].", "Invented.", []),
        ("Zero [0] and [99] and [123].", "Zero and and.", []),
        ("Both [7][1].", "Both [1].", [1]),
        ("A link [1](https://x.example).", "A link [1](https://x.example).", []),
        ("A footnote [^1], a note [see 1].", "A footnote [^1], a note [see 1].", []),
        ("A year [2024].", "A year [2024].", []),
        ("", "", []),
    ],
)
def test_citations_of_unknown_passages_are_removed(text, expected, cited):
    checked, citations = check(text, PASSAGES)
    assert (checked, [citation.n for citation in citations]) == (expected, cited)


@pytest.mark.parametrize(
    "code",
    [
        "`array[9]`",
        "``a[9]``",
        "``a`b[9]``",
        "text ```a[9]``` text",
        "```sql\nSELECT a[9];\n```",
        "~~~\na[9]\n~~~",
        "````\n```\na[9]\n```\n````",
        "```\nnever closed [9]",
    ],
)
def test_code_is_left_unchanged(code):
    text = f"Look [1]: {code}" if "\n" not in code else f"Look [1]:\n\n{code}"
    checked, citations = check(text, PASSAGES)
    assert checked == text
    assert [citation.n for citation in citations] == [1]


@pytest.mark.parametrize("text", ["a ` b [9] c", "`one` [9] `two`", "`one\n[9] two`", "~ [9] ~", "```\na\n```\nb [9]"])
def test_citations_in_text_that_only_looks_like_code_are_checked(text):
    assert "[9]" not in check(text, PASSAGES)[0]


def test_citation_names_lesson_and_heading():
    [citation] = check("So [2].", PASSAGES)[1]
    assert citation.model_dump() == {"n": 2, "lessonId": "12", "title": "Lesson 12", "heading": "Part 12"}


def test_without_passages_nothing_can_be_cited():
    assert check("So [1].", []) == ("So.", [])
