"""Imports a folder of Markdown lessons as a course, and updates only what changed."""

from __future__ import annotations

import hashlib
import logging
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError, transaction

from config import scrub
from config.http.parsers import is_storable
from courses import markdown
from courses.models import Course, Lesson, Passage

logger = logging.getLogger(__name__)


class BadFolder(Exception):
    """The folder does not hold a valid course; the message says what is wrong."""


@transaction.atomic
def ingest(folder: Path) -> Course:
    """Create or update the course that this folder holds: course.toml and one .md file for each lesson.

    The folder's name becomes the course's id, and a file's name the lesson's. New and changed passages do not have an
    embedding yet. Raises BadFolder.
    """
    about = _read_about(folder)
    files = sorted(folder.glob("*.md"))
    if not files:
        raise BadFolder(f"{folder} holds no lessons (.md files)")
    if unreadable := [file.name for file in files if not is_storable(file.name)]:
        raise BadFolder(f"{unreadable[0]!a} cannot be imported: its name is not UTF-8")
    course, _ = Course.objects.update_or_create(slug=about["slug"], defaults=about)
    course.lessons.exclude(slug__in=[file.stem for file in files]).delete()
    for position, file in enumerate(files, start=1):
        try:
            _ingest_lesson(course, position, file)
        except (OSError, UnicodeError, DataError) as error:  # DataError: a NUL, or a title that is too long
            raise BadFolder(f"{file} cannot be imported: {error}") from None
    return course


def unembedded(course_id: int, limit: int, after: int = 0) -> list[tuple[int, str]]:
    """Return up to `limit` passages without an embedding, by id, from behind the id `after`: (id, text to embed)."""
    waiting = Passage.objects.filter(course_id=course_id, embedding__isnull=True, pk__gt=after)
    return [(passage.pk, passage.embeddable) for passage in waiting.select_related("lesson").order_by("pk")[:limit]]


def save_embeddings(embeddings: dict[int, list[float]]) -> None:
    """Store embeddings by passage id; ignores passages that were deleted in the meantime."""
    passages = list(Passage.objects.filter(pk__in=embeddings))
    for passage in passages:
        passage.embedding, passage.embedding_problem = embeddings[passage.pk], ""
    Passage.objects.bulk_update(passages, ["embedding", "embedding_problem"])


def mark_rejected(problems: dict[int, str]) -> None:
    """Store by passage id why the embedding model rejected these passages. The next ingestion tries them again."""
    for pk, problem in problems.items():
        told = scrub.scrubbed(problem)[:300]
        Passage.objects.filter(pk=pk).update(embedding_problem=told)
        logger.warning("passage %d has no embedding, so only full-text search finds it: %s", pk, told)


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = tomllib.loads((folder / "course.toml").read_text(encoding="utf-8"))
        fields = {"slug": folder.resolve().name, "title": about["title"], "summary": about["summary"]}
        Course(**fields).clean_fields()
        if not all(map(is_storable, map(str, fields.values()))):
            raise BadFolder(f"{folder / 'course.toml'} contains characters that cannot be stored")
        return fields
    except OSError as error:
        raise BadFolder(f"{folder / 'course.toml'} cannot be read: {error.strerror}") from None
    except KeyError as error:
        raise BadFolder(f"{folder / 'course.toml'} has no {error}") from None
    except (ValueError, RecursionError) as error:
        raise BadFolder(f"{folder / 'course.toml'} is not valid TOML: {error}") from None
    except ValidationError as error:
        problems = "; ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
        raise BadFolder(f"{folder} cannot become a course: {problems}") from None


def _ingest_lesson(course: Course, position: int, file: Path) -> None:
    body = file.read_text(encoding="utf-8")
    title = markdown.title_of(body, default=file.stem)
    lesson, _ = Lesson.objects.update_or_create(
        course=course, slug=file.stem, defaults={"position": position, "title": title, "body": body}
    )
    _sync_passages(lesson, markdown.cut(body))


def _sync_passages(lesson: Lesson, pieces: list[markdown.Piece]) -> None:
    """Make the lesson's passages match the pieces. Unchanged passages keep their row and their embedding."""
    kept: dict[str, list[Passage]] = defaultdict(list)  # lists: a lesson may contain the same text twice
    for passage in lesson.passages.all():
        kept[passage.content_hash].append(passage)
    for position, piece in enumerate(pieces):
        passage = Passage(
            course_id=lesson.course_id, lesson=lesson, position=position, heading=piece.heading, text=piece.text
        )
        passage.content_hash = hashlib.sha256(passage.embeddable.encode()).hexdigest()
        if same := kept[passage.content_hash]:
            Passage.objects.filter(pk=same.pop(0).pk).exclude(position=position).update(position=position)
        else:
            passage.save(force_insert=True)
    left = [passage.pk for passages in kept.values() for passage in passages]
    Passage.objects.filter(pk__in=left).delete()
