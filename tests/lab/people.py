"""The learners of a run, what they ask, and the demo courses. Runs Django in this process."""

from __future__ import annotations

import io
import re
import time

COURSE = "sql-for-analysts"
EMBEDDING_SECONDS = 300.0
QUESTIONS = (
    "What does COALESCE return when all of its arguments are NULL?",
    "When should I use HAVING instead of WHERE?",
    "How does a LEFT JOIN differ from an INNER JOIN?",
    "What is a window function good for?",
    "Why is my index not used by the planner?",
    "What does READ COMMITTED guarantee?",
)
_NUMBER = re.compile(r"\(no\. (\d+)\)")


def question(number: int) -> str:
    """A question that carries its number, so that rows and upstream requests can be matched to it."""
    return f"{QUESTIONS[number % len(QUESTIONS)]} (no. {number})"


def number_in(text: str) -> int:
    """The number of the question in this text; -1 when there is none."""
    found = _NUMBER.search(text)
    return int(found[1]) if found else -1


def load_demo() -> None:
    """Set up Django, migrate, and load the demo courses; a worker still has to embed them."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("load_demo", stdout=io.StringIO())


def prepare(count: int) -> list[str]:
    """Load the demo and create this many learners, enrolled in COURSE; returns their tokens."""
    load_demo()
    from django.contrib.auth.models import User

    from accounts.models import issue_token
    from courses.models import Course, Enrollment

    course = Course.objects.get(slug=COURSE)
    users = User.objects.bulk_create(User(username=f"lab-{n}", password="!") for n in range(count))
    Enrollment.objects.bulk_create(Enrollment(user=user, course=course) for user in users)
    return [issue_token(user)[0] for user in users]


def wait_until_embedded() -> None:
    """Return when a worker has embedded all passages; TimeoutError after EMBEDDING_SECONDS."""
    from courses.models import Passage

    deadline = time.monotonic() + EMBEDDING_SECONDS
    while Passage.objects.filter(embedding__isnull=True).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the lessons were not embedded within {EMBEDDING_SECONDS:.0f} s")
        time.sleep(0.2)


def disconnect() -> None:
    """Close this process's database connections."""
    from django.apps import apps
    from django.db import connection

    if apps.ready:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
