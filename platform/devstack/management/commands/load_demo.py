from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from courses.models import Course, Enrollment, Passage

ROLES = {"learner": Enrollment.Role.LEARNER, "tutor": Enrollment.Role.TUTOR}


class Command(BaseCommand):
    help = "Load the demo courses and the demo people. Exists in the development stack only."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, nargs="?", help="Holds one folder for each course.")
        parser.add_argument("--check", action="store_true", help="Fail while passages wait for their embedding.")

    def handle(self, *args: Any, folder: Path | None, check: bool, **options: Any) -> None:
        if check:
            if waiting := Passage.objects.filter(embedding__isnull=True).count():
                raise CommandError(f"{waiting} passages wait for their embedding")
        elif folder:
            self._load(folder)

    def _load(self, folder: Path) -> None:
        for course in sorted(path for path in folder.iterdir() if path.is_dir()):
            call_command("ingest_course", str(course), stdout=self.stdout)
        for name in ("learner", "tutor", "staff"):
            _person(name)


def _person(name: str) -> None:
    is_staff = name == "staff"
    user, is_new = User.objects.get_or_create(username=name, defaults={"is_staff": is_staff, "is_superuser": is_staff})
    if is_new:
        user.set_password(f"demo-{name}")
        user.save()
    for course in Course.objects.all() if name in ROLES else []:
        Enrollment.objects.get_or_create(user=user, course=course, defaults={"role": ROLES[name]})
