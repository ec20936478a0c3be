"""What the benchmark's database holds: the demo courses and a crowd of learners. Runs Django in this process."""

from __future__ import annotations

import io
import secrets
import time
from datetime import datetime

COURSE = "sql-for-analysts"
EMBEDDING_SECONDS = 60.0


def prepare(count: int) -> list[str]:
    """Migrate, load the demo courses and this many learners; returns the learners' tokens."""
    import django

    django.setup()
    from django.core.management import call_command

    from devstack.run import DEMO_COURSES

    call_command("migrate", verbosity=0)
    call_command("load_demo", str(DEMO_COURSES), stdout=io.StringIO())
    return _enrol(count)


def lesson_path() -> str:
    """The API path of a lesson of the course."""
    from courses.models import Lesson

    return f"/api/lessons/{Lesson.objects.filter(course__slug=COURSE).order_by('position')[0].pk}"


def wait_until_embedded() -> None:
    """Return when the worker has embedded all passages; TimeoutError when it does not."""
    from courses.models import Passage

    deadline = time.monotonic() + EMBEDDING_SECONDS
    while Passage.objects.filter(embedding__isnull=True).exists():
        if time.monotonic() > deadline:
            raise TimeoutError("the worker does not embed the lessons")
        time.sleep(0.2)


def claimed_at(job_ids: list[str]) -> dict[str, float]:
    """When the worker took each of these jobs, as `time.time()` counts."""
    from jobs.models import AiJob

    rows: list[tuple[object, datetime | None]] = list(
        AiJob.objects.filter(pk__in=job_ids).values_list("pk", "started_at")
    )
    return {str(pk): started.timestamp() for pk, started in rows if started}


def profiles(count: int) -> None:
    """So many learners who have answered the demo's questionnaire, and whose profiles are of no version."""
    from django.contrib.auth.models import User

    from personas import questionnaires
    from personas.models import Profile

    questionnaire = questionnaires.current()
    said = {"goal": "I want to build something.", "way": "By examples and practice.", "before": "Not much."}
    answers = [{"key": key, "question": key, "answer": text} for key, text in said.items()]
    users = User.objects.bulk_create(User(username=f"bench-persona-{n}", password="!") for n in range(count))
    Profile.objects.bulk_create(Profile(user=user, questionnaire=questionnaire, answers=answers) for user in users)


def renew_profiles() -> None:
    """Begin the batch."""
    from personas import actions

    actions.renew_all()


def renewals_left() -> int:
    """How many profiles the batch has not done yet."""
    from personas.models import Profile

    return Profile.objects.filter(classified_at__isnull=True).count()


def session_cookies(count: int) -> list[str]:
    """The session keys of so many people who have signed in with a browser."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    keys = []
    for user in User.objects.bulk_create(User(username=f"bench-idle-{n}", password="!") for n in range(count)):
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        keys.append(str(session.session_key))
    return keys


def failed_jobs() -> int:
    """How many jobs have failed so far."""
    from jobs.models import AiJob

    return AiJob.objects.filter(status=AiJob.Status.FAILED).count()


def disconnect() -> None:
    """Give up this process's database connections."""
    from django.apps import apps
    from django.db import connection

    if apps.ready:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]


def _enrol(count: int) -> list[str]:
    from django.contrib.auth.models import User
    from rest_framework.authtoken.models import Token

    from courses.models import Course, Enrollment

    course = Course.objects.get(slug=COURSE)
    users = User.objects.bulk_create(User(username=f"bench-{n}", password="!") for n in range(count))
    Enrollment.objects.bulk_create(Enrollment(user=user, course=course) for user in users)
    tokens = Token.objects.bulk_create(Token(user=user, key=secrets.token_hex(20)) for user in users)
    return [token.key for token in tokens]
