"""Hybrid search over a course's passages: vector and full-text results, combined by reciprocal rank fusion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from pydantic_core import to_json

from courses.models import EMBEDDING_DIMENSIONS, Passage
from courses.vectors import problem_of

logger = logging.getLogger(__name__)

CANDIDATES = 20  # from each of the two searches, before fusion
RANK_CONSTANT = 60  # the usual k of reciprocal rank fusion
MAX_QUERY_WORDS = 64  # full-text search uses only the first words of a longer question
MIN_SIMILARITY = 0.12  # cosine; less similar passages are unrelated
MAX_LESSON_CHARS = 8000  # about 2,000 tokens: most lessons fit completely
MAX_OTHER_PASSAGES = 3  # passages from other lessons than the one being read


@dataclass(frozen=True)
class Hit:
    """A passage that a search found. `score` is the fused score, which is only meaningful for ordering."""

    lesson_id: int
    lesson_title: str
    heading: str
    text: str
    score: float


# Both searches filter by course before ranking. The vector search scans the whole course: a course has thousands of
# passages at most, and an approximate index combined with such a filter returns too few rows.
# The full-text search weights words by inverse document frequency within the course. Postgres' ranking functions weight
# all words equally; for a single word ts_rank is a damped term frequency (docs/evaluation.md).
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
    """Return the best passages of this course, best first. Without a usable vector it uses full-text search only."""
    if vector is not None and (problem := problem_of(vector, EMBEDDING_DIMENSIONS)):
        logger.warning("a question is searched by its words only: %s", problem)
        vector = None
    parameters: dict[str, int | float | str | None] = {
        "course": course_id,
        "words": words,
        "vector": to_json(vector).decode()
        if vector is not None
        else None,  # the format of pgvector; ten times as fast as str()
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
    """Return the passages of the lesson being read, in order, then the best passages of other lessons.

    A lesson longer than MAX_LESSON_CHARS is reduced to that length: best matches first, then from its beginning.
    """
    hits = hybrid(course_id, words, vector, limit=2 * CANDIDATES)
    fitting = {hit.text: rank for rank, hit in enumerate(hits) if hit.lesson_id == lesson_id}
    elsewhere = [hit for hit in hits if hit.lesson_id != lesson_id][:MAX_OTHER_PASSAGES]
    passages = of_lesson(lesson_id)
    order = sorted(range(len(passages)), key=lambda i: (fitting.get(passages[i].text, len(fitting)), i))
    return [*fitting_in(passages, MAX_LESSON_CHARS, order), *elsewhere]


def of_lesson(lesson_id: int) -> list[Hit]:
    """Return all passages of a lesson, in order."""
    rows = Passage.objects.filter(lesson=lesson_id).order_by("position")
    return [
        Hit(lesson_id, title, heading, text, score=0.0)
        for title, heading, text in rows.values_list("lesson__title", "heading", "text")
    ]


def fitting_in(passages: Sequence[Hit], chars: int, order: Sequence[int] | None = None) -> list[Hit]:
    """Return the passages that fit into `chars` characters, in order. `order` lists indexes by preference."""
    left, kept = chars, set()
    for index in order if order is not None else range(len(passages)):
        if len(passages[index].text) <= left:
            left -= len(passages[index].text)
            kept.add(index)
    return [passage for index, passage in enumerate(passages) if index in kept]
