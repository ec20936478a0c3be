"""Finds the passages of a course that fit a question: by meaning and by words, fused by reciprocal rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from pydantic_core import to_json

from courses.models import Passage

CANDIDATES = 20  # from each side, before fusion
RANK_CONSTANT = 60  # the usual k of reciprocal rank fusion
MAX_QUERY_WORDS = 64  # of a very long question the first words decide
MIN_SIMILARITY = 0.12  # cosine; below it a passage only shares a language with the question
MAX_LESSON_CHARS = 8000  # about 2,000 tokens: most lessons fit whole
MAX_OTHER_PASSAGES = 3  # passages of other lessons, beside those of the lesson that is being read


@dataclass(frozen=True)
class Hit:
    """A passage that was found, best first. `score` is the fused score, only good for ordering."""

    lesson_id: int
    lesson_title: str
    heading: str
    text: str
    score: float


# Both halves are restricted to the course before anything is ranked. The vector half scans the course exactly: a
# course has thousands of passages at most, and an approximate index behind such a filter returns too few rows.
# In the other half a word counts the more, the fewer passages of the course have it. Postgres' ranking functions weigh
# all words alike; for a single word ts_rank is how often it is there, each time counting less (docs/evaluation.md).
_SQL = r"""
WITH asked AS (
    SELECT lexeme, ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery AS query
    FROM unnest(to_tsvector('english', %(words)s)) ORDER BY positions[1] LIMIT %(max_words)s
), matches AS (
    SELECT p.id, ts_rank(p.words, asked.query) * ln(
               (SELECT count(*) + 1.0 FROM courses_passage WHERE course_id = %(course)s)
               / count(*) OVER (PARTITION BY asked.lexeme)
           ) AS worth
    FROM asked JOIN courses_passage p ON p.course_id = %(course)s AND p.words @@ asked.query
), by_meaning AS (
    SELECT id, row_number() OVER (ORDER BY distance) AS rank
    FROM (
        SELECT p.id, p.embedding <=> %(vector)s::vector AS distance
        FROM courses_passage p
        WHERE p.course_id = %(course)s AND p.embedding IS NOT NULL
        ORDER BY distance LIMIT %(candidates)s
    ) nearest
    WHERE distance <= 1 - %(min_similarity)s
), by_words AS (
    SELECT id, row_number() OVER (ORDER BY sum(worth) DESC, id) AS rank
    FROM matches GROUP BY id ORDER BY rank LIMIT %(candidates)s
), fused AS (
    SELECT id, sum(1.0 / (%(k)s + rank)) AS score
    FROM (SELECT * FROM by_meaning UNION ALL SELECT * FROM by_words) found
    GROUP BY id
)
SELECT l.id, l.title, p.heading, p.text, fused.score
FROM fused JOIN courses_passage p ON p.id = fused.id JOIN courses_lesson l ON l.id = p.lesson_id
ORDER BY fused.score DESC, p.id LIMIT %(limit)s
"""


def hybrid(course_id: int, words: str, vector: list[float] | None, limit: int = 6) -> list[Hit]:
    """The passages of this course that fit best. `vector` embeds the question; None searches by words alone."""
    parameters: dict[str, int | float | str | None] = {
        "course": course_id,
        "words": words,
        "vector": to_json(vector).decode() if vector is not None else None,  # as Postgres writes it; ten times str()
        "candidates": CANDIDATES,
        "max_words": MAX_QUERY_WORDS,
        "min_similarity": MIN_SIMILARITY,
        "k": RANK_CONSTANT,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SQL, parameters)
        return [Hit(lesson, title, heading, text, float(score)) for lesson, title, heading, text, score in cursor]


def beside_lesson(lesson_id: int, course_id: int, words: str, vector: list[float] | None) -> list[Hit]:
    """For a question asked while reading a lesson: the lesson's passages in order, then the best ones of other lessons.

    Of a lesson longer than MAX_LESSON_CHARS those that fit the question best; then, up to that length, from its beginning.
    """
    hits = hybrid(course_id, words, vector, limit=2 * CANDIDATES)
    fitting = {hit.text: rank for rank, hit in enumerate(hits) if hit.lesson_id == lesson_id}
    elsewhere = [hit for hit in hits if hit.lesson_id != lesson_id][:MAX_OTHER_PASSAGES]
    passages = of_lesson(lesson_id)
    order = sorted(range(len(passages)), key=lambda i: (fitting.get(passages[i].text, len(fitting)), i))
    return [*fitting_in(passages, MAX_LESSON_CHARS, order), *elsewhere]


def of_lesson(lesson_id: int) -> list[Hit]:
    """All passages of a lesson, in their order."""
    rows = Passage.objects.filter(lesson=lesson_id).order_by("position")
    return [
        Hit(lesson_id, title, heading, text, score=0.0)
        for title, heading, text in rows.values_list("lesson__title", "heading", "text")
    ]


def fitting_in(passages: Sequence[Hit], chars: int, order: Sequence[int] | None = None) -> list[Hit]:
    """Those passages that fit into so many characters, in their order; `order` says which are chosen first."""
    left, kept = chars, set()
    for index in order if order is not None else range(len(passages)):
        if len(passages[index].text) <= left:
            left -= len(passages[index].text)
            kept.add(index)
    return [passage for index, passage in enumerate(passages) if index in kept]
