"""What scenarios read from and write to the database. Runs Django in this process."""

from __future__ import annotations

from datetime import datetime

from tests.lab import past
from tests.lab.people import COURSE


def lesson_path() -> str:
    """The API path of the course's first lesson."""
    from courses.models import Lesson

    return f"/api/lessons/{Lesson.objects.filter(course__slug=COURSE).order_by('position')[0].pk}"


def claimed_at(job_ids: list[str]) -> dict[str, float]:
    """When a worker claimed each of these jobs, as Unix time."""
    from jobs.models import AiJob

    rows: list[tuple[object, datetime | None]] = list(
        AiJob.objects.filter(pk__in=job_ids).values_list("pk", "started_at")
    )
    return {str(pk): started.timestamp() for pk, started in rows if started}


def failed_jobs() -> int:
    """The number of failed jobs."""
    from jobs.models import AiJob

    return AiJob.objects.filter(status=AiJob.Status.FAILED).count()


def create_profiles(count: int) -> None:
    """Create learners who answered the demo's questionnaire and whose profiles are not classified yet."""
    from django.contrib.auth.models import User

    from personas import questionnaires
    from personas.models import Profile

    questionnaire = questionnaires.current()
    said = {"goal": "I want to build something.", "way": "By examples and practice.", "before": "Not much."}
    answers = [{"key": key, "question": key, "answer": text} for key, text in said.items()]
    users = User.objects.bulk_create(User(username=f"bench-persona-{n}", password="!") for n in range(count))
    Profile.objects.bulk_create(Profile(user=user, questionnaire=questionnaire, answers=answers) for user in users)


def renew_profiles() -> None:
    """Start the batch that classifies all profiles again."""
    from personas import actions

    actions.renew_all()


def renewals_left() -> int:
    """The number of profiles that the batch has not classified yet."""
    from personas.models import Profile

    return Profile.objects.filter(classified_at__isnull=True).count()


def session_cookies(count: int) -> list[str]:
    """Create people who are signed in with a browser; returns their session keys."""
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


def load_past() -> None:
    """Add the rows of 80 days, all of which have ended."""
    past.load(active=0)


def unload_past() -> None:
    """Delete these rows, and all other jobs and conversations."""
    past.unload()
