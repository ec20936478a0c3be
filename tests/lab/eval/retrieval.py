"""How well search finds the passages that answer: by meaning, by words, and by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.eval.questions import Question
from tests.lab.report import table
from tests.lab.stats import mean

WAYS = ("vector only", "full text only", "hybrid")
DEPTH = 10  # a passage below this rank counts as not found


@dataclass(frozen=True)
class Found:
    """The rank of the first passage that answers, for each way of searching; 0: not among the first DEPTH."""

    question: Question
    places: dict[str, int]


def recall(places: Sequence[int], at: int = 5) -> float:
    """The share of questions whose answer is among the first `at` passages, in per cent."""
    return 100 * mean([1 <= place <= at for place in places])


def reciprocal_rank(places: Sequence[int]) -> float:
    """The mean of 1 / rank; a question without a hit counts 0."""
    return mean([1 / place if place else 0.0 for place in places])


def find(question: Question, vector: list[float]) -> Found:
    """Search for one question in each way."""
    from courses.models import Course, Lesson
    from courses.search import Hit, hybrid

    course = Course.objects.get(slug=question.course)
    slugs: dict[Any, str] = dict(Lesson.objects.filter(course=course).values_list("pk", "slug"))
    by_way: dict[str, list[Hit]] = {
        "vector only": hybrid(course.pk, "", vector, DEPTH),
        "full text only": hybrid(course.pk, question.text, None, DEPTH),
        "hybrid": hybrid(course.pk, question.text, vector, DEPTH),
    }
    return Found(
        question,
        {
            way: next((n for n, h in enumerate(hits, 1) if question.is_answered_by(slugs[h.lesson_id], h.heading)), 0)
            for way, hits in by_way.items()
        },
    )


def render(found: Sequence[Found]) -> str:
    """A table with recall@5 and MRR of each way, by kind of question."""
    kinds = list(dict.fromkeys(one.question.kind for one in found))
    head = ["questions", "", *(f"{way}: {figure}" for way in WAYS for figure in ("recall@5", "MRR"))]
    rows = [_row(kind, [one for one in found if one.question.kind == kind]) for kind in kinds]
    return table(head, [*rows, _row("all", found)])


def places(found: Sequence[Found], way: str) -> list[int]:
    """The ranks that one way of searching found."""
    return [one.places[way] for one in found]


def _row(name: str, found: Sequence[Found]) -> list[str]:
    cells = [name, str(len(found))]
    for way in WAYS:
        at = places(found, way)
        cells += [f"{recall(at):.0f} %", f"{reciprocal_rank(at):.2f}"]
    return cells
