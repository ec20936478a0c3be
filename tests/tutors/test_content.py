"""A quiz question is kept only if it is valid and quotes its passage."""

import pytest

from courses.grounding import PromptPassage
from tutors.content import Proposal, verified

TEXT = "`COALESCE(a, b)` returns its first value that is **not NULL**. It stops there."
PASSAGES = [PromptPassage(lesson_id=7, lesson_title="NULL", heading="COALESCE", text=TEXT)]
GOOD = {
    "question": "What does COALESCE return?",
    "options": ["The first value that is not NULL", "The last value", "Always NULL"],
    "right": 0,
    "explanation": "It stops at the first one.",
    "passage": 1,
    "quote": "COALESCE(a, b) returns its first value that is not  null",
}


def check(**changes):
    return verified(Proposal(**GOOD | changes), PASSAGES)


def test_sound_question_gets_its_source():
    source = check().passage
    assert (source.lessonId, source.title, source.heading) == ("7", "NULL", "COALESCE")
    assert source.quote == "COALESCE(a, b) returns its first value that is not null"


@pytest.mark.parametrize(
    "changes",
    [
        {"passage": 0},
        {"passage": 2},
        {"quote": "COALESCE returns the last value that is not NULL"},
        {"quote": "It stops"},
        {"quote": ""},
        {"right": 3},
        {"right": -1},
        {"options": ["One"]},
        {"options": ["Same", "same ", "Other"]},
        {"options": ["One", " "]},
        {"question": " "},
        {"explanation": ""},
    ],
)
def test_unsound_question_is_dropped(changes):
    assert check(**changes) is None
