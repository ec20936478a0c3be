from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from devstack.demo.load import load


class Command(BaseCommand):
    help = "Load the demo courses, personas and people. Exists in the development stack only."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--questions", action="store_true", help="Also load other learners and their questions.")

    def handle(self, *args: Any, questions: bool = False, **options: Any) -> None:
        load(questions, self.stdout)
