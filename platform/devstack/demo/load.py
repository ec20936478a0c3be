"""Loads the whole demo into the database."""

from __future__ import annotations

from typing import TextIO

from django.core.management import call_command
from django.core.management.base import OutputWrapper

from devstack.demo import COURSES, learners, people, personas, site


def load(questions: bool, stdout: OutputWrapper | TextIO) -> None:
    """Load courses, personas, people and site texts; with `questions`, also other learners and their questions."""
    for course in sorted(path for path in COURSES.iterdir() if path.is_dir()):
        call_command("ingest_course", str(course), stdout=stdout)
    personas.load()
    people.load()
    site.load()
    if questions:
        learners.load()
