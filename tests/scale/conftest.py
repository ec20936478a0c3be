"""A database of its own with the rows of 80 days (tests/lab/past.py), used by this process only."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from courses.ingestion import ingest
from courses.models import Course, Enrollment
from devstack.demo import COURSES as DEMO_COURSES
from devstack.demo import personas as demo_personas
from jobs.backends import connections
from tests.lab import past
from tests.scale import plans
from tests.scale.plans import Recorder
from tests.support import Simulator, unique

DATABASE = "past"


@pytest.fixture
def clean_slate(simulator: Simulator) -> Iterator[None]:
    """Keep the rows; only queue entries are deleted."""
    simulator.reset()
    yield
    connections.redis().delete(*(f"rq:queue:{name}" for name in settings.JOBS_QUEUES))


@pytest.fixture(scope="package", autouse=True)
def loaded(_database) -> Iterator[None]:
    """Let this process use a database with the rows of 80 days."""
    faulthandler.cancel_dump_traceback_later()  # loading takes longer than a test may, on a busy machine
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
    everyday = _use(DATABASE)
    call_command("migrate", verbosity=0)
    for name in ("sql-for-analysts", "beekeeping-first-year"):
        ingest(DEMO_COURSES / name)
    demo_personas.load()
    past.load()
    yield
    _use(everyday)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture
def recorder(loaded) -> Iterator[Recorder]:
    with plans.recorder() as made:
        yield made


@pytest.fixture
def course(loaded) -> Course:
    return Course.objects.order_by("pk")[0]


@pytest.fixture
def somebody(course: Course) -> User:
    """A learner with jobs and conversations of 80 days, who is also a tutor of the course."""
    user = User.objects.filter(username__startswith=past.NAME).order_by("pk")[unique_index()]
    Enrollment.objects.get_or_create(user=user, course=course)
    course.tutors.add(user)
    return user


@pytest.fixture
def browser(somebody: User) -> Client:
    return browser_of(somebody)


@pytest.fixture
def desk(loaded) -> Client:
    """Staff who may do everything."""
    return browser_of(User.objects.create(username=unique("staff"), is_staff=True, is_superuser=True))


def browser_of(user: User) -> Client:
    signed_in = Client()
    signed_in.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return signed_in


def unique_index(taken: list[int] = []) -> int:  # noqa: B006
    """A number that no earlier call returned."""
    taken.append(len(taken))
    return taken[-1]


def _use(name: str) -> str:
    """Let this process use another database of the same server; returns the name of the one before."""
    before: str = connection.settings_dict["NAME"]
    connection.close()
    connection.close_pool()
    connection.settings_dict["NAME"] = name
    return before
