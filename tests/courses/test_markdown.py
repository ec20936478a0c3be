"""Lessons are cut into passages."""

import pytest

from courses.markdown import MAX_PASSAGE_CHARS, cut, title_of

LESSON = """\
# Joins

What a join is.

## LEFT JOIN

Keeps every row.

```sql
# not a heading
-- ## nor this
SELECT 1;
```

### With NULL

Careful.

## RIGHT JOIN

Rare.
"""


def headings(text):
    return [piece.heading for piece in cut(text)]


def test_passages_carry_the_path_of_headings_below_the_title():
    assert headings(LESSON) == ["", "LEFT JOIN", "LEFT JOIN > With NULL", "RIGHT JOIN"]


def test_title_is_the_first_heading_of_level_one():
    assert title_of("## Before\n\n# The *real* `title`\n\n# Another", "file") == "The real title"


@pytest.mark.parametrize("text", ["", "No heading.", "## Two", "```\n# code\n```", "> # quoted"])
def test_lesson_without_a_title_is_named_after_its_file(text):
    assert title_of(text, "01-intro") == "01-intro"


def test_hash_lines_in_code_are_not_headings():
    [left_join] = [piece for piece in cut(LESSON) if piece.heading == "LEFT JOIN"]
    assert "# not a heading\n-- ## nor this\nSELECT 1;\n```" in left_join.text


@pytest.mark.parametrize("fence", ["```", "~~~", "````"])
def test_unclosed_fence_runs_to_the_end(fence):
    assert headings(f"# T\n\n{fence}\n# a\n## b") == [""]


def test_skipped_levels_and_underlined_headings_are_recognised():
    assert headings("Title\n=====\n\nx\n\n#### Deep\n\ny\n\nSection\n-------\n\nz") == ["", "Deep", "Section"]


def test_long_section_is_cut_between_paragraphs():
    paragraphs = [f"{n} " + "word " * 60 for n in range(20)]
    pieces = cut("# T\n\n## S\n\n" + "\n\n".join(paragraphs))
    assert len(pieces) > 3
    assert all(len(piece.text) <= MAX_PASSAGE_CHARS for piece in pieces)
    assert {piece.heading for piece in pieces} == {"S"}
    assert "\n\n".join(piece.text for piece in pieces) == "\n\n".join(p.strip() for p in paragraphs)


@pytest.mark.parametrize(
    "block",
    [
        "```\n" + "line of code\n" * 200 + "```",
        "\n".join(f"- item {n} of a list" for n in range(100)),
        "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | a cell of a table |" for n in range(90)),
        "\n".join(f"> quoted line {n}" for n in range(150)),
    ],
    ids=["code", "list", "table", "quotation"],
)
def test_code_lists_and_tables_stay_whole(block):
    assert len(block) > MAX_PASSAGE_CHARS
    assert block in [piece.text for piece in cut(f"Before.\n\n{block}\n\nAfter.")]


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1c"])
def test_unusual_line_separators_lose_no_text(odd):
    text = "".join(piece.text for piece in cut(f"# T\n\none{odd}two{odd}three\n\n## S\n\nthe last words"))
    assert "three" in text and text.endswith("the last words")


def test_empty_lesson_has_no_passages():
    assert cut("") == cut(" \n\n ") == []


def test_block_too_large_for_an_embedding_call_is_cut():
    pieces = cut("# T\n\n## S\n\n" + "word " * 20_000)
    assert max(len(piece.text) for piece in pieces) <= 8000
    assert "".join(piece.text for piece in pieces).count("word") >= 19_900
