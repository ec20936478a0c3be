"""The demo courses in the database of the stack, embedded. Runs Django in this process."""

from __future__ import annotations

import asyncio
import io
import time

EMBEDDING_SECONDS = 300.0


def prepare() -> None:
    """Migrate and load the demo courses; their passages wait for `embed`."""
    import django

    django.setup()
    from django.core.management import call_command

    from devstack.run import DEMO_COURSES

    call_command("migrate", verbosity=0)
    call_command("load_demo", str(DEMO_COURSES), stdout=io.StringIO())


def texts() -> list[str]:
    """What is to be embedded."""
    from courses.models import Passage

    return [passage.embeddable for passage in Passage.objects.select_related("lesson")]


async def embed() -> None:
    """Do what the loaded courses have submitted, as a worker does. TimeoutError if the passages stay without."""
    from courses.models import Passage
    from jobs.models import AiJob
    from jobs.tasks import run_job

    deadline = time.monotonic() + EMBEDDING_SECONDS
    while await asyncio.to_thread(Passage.objects.filter(embedding__isnull=True).exists):
        if time.monotonic() > deadline:
            raise TimeoutError("the passages were not embedded")
        pending = await asyncio.to_thread(list, AiJob.objects.filter(status="pending").values_list("pk", flat=True))
        await asyncio.gather(*(run_job(str(pk)) for pk in pending), asyncio.sleep(0.1))
