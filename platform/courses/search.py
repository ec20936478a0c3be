"""Finding the passages of a course that fit a question: by meaning and by words, fused by reciprocal rank."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from pydantic_core import to_json

CANDIDATES = 20  # from each side, before fusion
RANK_CONSTANT = 60  # the usual k of reciprocal rank fusion
MOST_WORDS = 64  # of a very long question the first words decide
LEAST_SIMILARITY = 0.12  # cosine; below it a passage only shares a language with the question


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
    FROM unnest(to_tsvector('english', %(words)s)) ORDER BY positions[1] LIMIT %(most_words)s
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
    WHERE distance <= 1 - %(least_similarity)s
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
        "most_words": MOST_WORDS,
        "least_similarity": LEAST_SIMILARITY,
        "k": RANK_CONSTANT,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SQL, parameters)
        return [Hit(lesson, title, heading, text, float(score)) for lesson, title, heading, text, score in cursor]
