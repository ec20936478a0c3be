from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django_rq.management.commands import rqworker

from config import outages
from config.startup import settle


class Command(rqworker.Command):
    help = "Run a worker on these queues, in this order; by default on all, the most urgent first."

    def handle(self, *args: Any, **options: Any) -> None:
        if outage := outages.postgres_outage():
            self.stderr.write(outage)  # jobs can wait until it is back
        if outage := outages.redis_outage():
            raise SystemExit(outage)  # its supervisor starts it again
        os.nice(settings.JOBS_NICE)
        settle()
        super().handle(*(args or settings.JOBS_QUEUES), **options)
