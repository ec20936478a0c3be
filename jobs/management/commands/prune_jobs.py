from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from jobs import retention


class Command(BaseCommand):
    help = "Delete what is older than the settings *_KEEP_DAYS keep it, and ended sessions and tickets."

    def handle(self, *args: Any, **options: Any) -> None:
        for part in retention.parts():
            self.stdout.write(f"{sum(iter(part.delete, 0))} {part.name} deleted.")
