from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from courses.models import Course, Enrollment
from devstack.demo import learners, personas
from devstack.demo.site import load_site


class Command(BaseCommand):
    help = "Load the demo courses, personas and people. Exists in the development stack only."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="Holds one folder for each course.")
        parser.add_argument("--questions", action="store_true", help="Load learners too who have asked already.")

    def handle(self, *args: Any, folder: Path, questions: bool = False, **options: Any) -> None:
        for course in sorted(path for path in folder.iterdir() if path.is_dir()):
            call_command("ingest_course", str(course), stdout=self.stdout)
        personas.load()
        for name in ("learner", "tutor", "staff"):
            _person(name)
        load_site()
        if questions:
            learners.load()


def _person(name: str) -> None:
    is_staff = name == "staff"
    user, is_new = User.objects.get_or_create(username=name, defaults={"is_staff": is_staff, "is_superuser": is_staff})
    if is_new:
        user.set_password(f"demo-{name}")
        user.save()
    for course in Course.objects.all():
        if name == "learner":
            Enrollment.objects.get_or_create(user=user, course=course)
        if name == "tutor":
            course.tutors.add(user)
