from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from jobs import retention


class Command(BaseCommand):
    help = (
        "Delete jobs that ended before JOBS_KEEP_DAYS with their upstream calls, visitors' conversations older than"
        " LANDING_KEEP_DAYS, and ended sessions and tickets."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for part in retention.parts():
            self.stdout.write(f"{sum(iter(part.delete, 0))} {part.name} deleted.")
