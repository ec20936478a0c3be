"""Finding the passages of a course that fit a question: by meaning and by words, fused by reciprocal rank."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

CANDIDATES = 20  # from each side, before fusion
RANK_CONSTANT = 60  # the usual k of reciprocal rank fusion
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
_SQL = """
WITH query AS (
    SELECT replace(plainto_tsquery('english', %(words)s)::text, '&', '|')::tsquery AS words,
           %(vector)s::vector AS vector
), by_meaning AS (
    SELECT id, row_number() OVER (ORDER BY distance) AS rank
    FROM (
        SELECT p.id, p.embedding <=> query.vector AS distance
        FROM courses_passage p, query
        WHERE p.course_id = %(course)s AND p.embedding IS NOT NULL
        ORDER BY distance LIMIT %(candidates)s
    ) nearest
    WHERE distance <= 1 - %(least_similarity)s
), by_words AS (
    SELECT id, row_number() OVER (ORDER BY match DESC, id) AS rank
    FROM (
        SELECT p.id, ts_rank_cd(p.words, query.words, 1) AS match
        FROM courses_passage p, query
        WHERE p.course_id = %(course)s AND p.words @@ query.words
        ORDER BY match DESC, p.id LIMIT %(candidates)s
    ) best
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
        "vector": str(vector) if vector is not None else None,
        "candidates": CANDIDATES,
        "least_similarity": LEAST_SIMILARITY,
        "k": RANK_CONSTANT,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SQL, parameters)
        return [Hit(lesson, title, heading, text, float(score)) for lesson, title, heading, text, score in cursor]
