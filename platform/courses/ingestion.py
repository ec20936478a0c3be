"""A folder of Markdown lessons becomes a course; only what changed is touched."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from django.db import transaction

from courses import markdown
from courses.models import Course, Lesson, Passage


class BadFolder(Exception):
    """The folder does not hold a course; the text says what is wrong."""


@transaction.atomic
def ingest(folder: Path) -> Course:
    """Create or update the course that this folder holds: course.toml and one .md file for each lesson.

    The folder's name is the course's id, a file's name the lesson's. New and changed passages are left without an
    embedding. Raises BadFolder.
    """
    about = _read_about(folder)
    files = sorted(folder.glob("*.md"))
    if not files:
        raise BadFolder(f"{folder} holds no lessons (.md files)")
    course, _ = Course.objects.update_or_create(slug=folder.resolve().name, defaults=about)
    course.lessons.exclude(slug__in=[file.stem for file in files]).delete()
    for position, file in enumerate(files, start=1):
        _ingest_lesson(course, position, file)
    return course


def unembedded(course_id: int, limit: int) -> list[tuple[int, str]]:
    """Passages that wait for an embedding: (id, text to embed)."""
    waiting = Passage.objects.filter(course_id=course_id, embedding__isnull=True).select_related("lesson")
    return [(passage.pk, passage.embeddable) for passage in waiting[:limit]]


def save_embeddings(embeddings: dict[int, list[float]]) -> None:
    """Store the embeddings by passage id; passages that are gone meanwhile are left out."""
    passages = list(Passage.objects.filter(pk__in=embeddings))
    for passage in passages:
        passage.embedding = embeddings[passage.pk]
    Passage.objects.bulk_update(passages, ["embedding"])


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = tomllib.loads((folder / "course.toml").read_text(encoding="utf-8"))
        return {"title": about["title"], "summary": about["summary"]}
    except OSError as error:
        raise BadFolder(f"{folder / 'course.toml'} cannot be read: {error.strerror}") from None
    except KeyError as error:
        raise BadFolder(f"{folder / 'course.toml'} does not say {error}") from None
    except ValueError as error:
        raise BadFolder(f"{folder / 'course.toml'} is no TOML: {error}") from None


def _ingest_lesson(course: Course, position: int, file: Path) -> None:
    body = file.read_text(encoding="utf-8")
    title = markdown.title_of(body, default=file.stem)
    lesson, _ = Lesson.objects.update_or_create(
        course=course, slug=file.stem, defaults={"position": position, "title": title, "body": body}
    )
    _sync_passages(lesson, markdown.cut(body))


def _sync_passages(lesson: Lesson, pieces: list[markdown.Piece]) -> None:
    kept = {passage.content_hash: passage for passage in lesson.passages.all()}
    for position, piece in enumerate(pieces):
        passage = kept.pop(piece.hash, None)
        if passage is None:
            Passage.objects.create(
                course_id=lesson.course_id,
                lesson=lesson,
                position=position,
                heading=piece.heading,
                text=piece.text,
                content_hash=piece.hash,
            )
        elif passage.position != position:
            Passage.objects.filter(pk=passage.pk).update(position=position)
    Passage.objects.filter(pk__in=[passage.pk for passage in kept.values()]).delete()
