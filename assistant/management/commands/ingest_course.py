from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.people import SYSTEM
from assistant.kinds import EMBEDDING
from courses import ingestion
from jobs.submission import SubjectBusy, Submission, submit


class Command(BaseCommand):
    help = "Create or update a course from a folder of Markdown lessons. A background job embeds new passages."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="Holds course.toml (title, summary) and the lessons (*.md).")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            with transaction.atomic():
                course = ingestion.ingest(folder)
                waiting = course.passages.filter(embedding__isnull=True).count()
                if waiting:
                    submit(Submission(SYSTEM), EMBEDDING, {"courseId": course.pk}, subject=f"course:{course.pk}")
        except ingestion.BadFolder as error:
            raise CommandError(str(error)) from None
        except SubjectBusy:
            raise CommandError("A job is already embedding this course; try again when it has ended.") from None
        lessons, passages = course.lessons.count(), course.passages.count()
        self.stdout.write(f"{course.title}: {lessons} lessons, {passages} passages, {waiting} of them to be embedded")
