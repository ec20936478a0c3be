"""The passages for a question that somebody asks while reading a lesson: the lesson's own first."""

from __future__ import annotations

from courses.models import Lesson, Passage
from courses.search import CANDIDATES, Hit, hybrid

LESSON_CHARS = 8000  # about 2,000 tokens: most lessons fit whole
ELSEWHERE = 3  # passages of other lessons


def beside(lesson_id: int, course_id: int, words: str, vector: list[float] | None) -> list[Hit]:
    """The lesson's passages as they stand in it, then the best ones of its course's other lessons.

    Of a long lesson those that fit the question best; then, up to the same length, those from its beginning.
    """
    hits = hybrid(course_id, words, vector, limit=2 * CANDIDATES)
    fitting = {hit.text: rank for rank, hit in enumerate(hits) if hit.lesson_id == lesson_id}
    elsewhere = [hit for hit in hits if hit.lesson_id != lesson_id][:ELSEWHERE]
    return [*_cut(_passages(lesson_id), fitting), *elsewhere]


def _passages(lesson_id: int) -> list[Hit]:
    rows = Passage.objects.filter(lesson_id=lesson_id).order_by("position").values_list("heading", "text")
    title = Lesson.objects.values_list("title", flat=True).get(pk=lesson_id)
    return [Hit(lesson_id, title, heading, text, score=0.0) for heading, text in rows]


def _cut(passages: list[Hit], fitting: dict[str, int]) -> list[Hit]:
    left, kept = LESSON_CHARS, set()
    best_first = sorted(range(len(passages)), key=lambda i: (fitting.get(passages[i].text, len(fitting)), i))
    for index in best_first:
        if len(passages[index].text) <= left:
            left -= len(passages[index].text)
            kept.add(index)
    return [passage for index, passage in enumerate(passages) if index in kept]
