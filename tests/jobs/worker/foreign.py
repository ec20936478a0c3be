"""Plain RQ jobs, as another application on the same queues could enqueue them."""

import asyncio
import inspect
import sys
import time

import django_rq
from django.contrib.auth.models import User
from rq import get_current_job

from jobs.backends import connections


def add(a, b):
    return a + b


async def add_later(a, b):
    await asyncio.sleep(0.01)
    return a + b


def fail():
    raise ValueError("no luck")


async def fail_later():
    await asyncio.sleep(0.01)
    raise ValueError("no luck")


async def fail_in(seconds):
    await asyncio.sleep(seconds)
    raise ValueError("no luck")


def fail_with_words():
    words = "xylophagous\nquestion"
    raise ValueError(f"no number: {words!r}")


def leave():
    sys.exit(3)


async def leave_later():
    sys.exit(3)


def work_for(seconds):
    """A synchronous function that takes this long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


async def wait_for(seconds):
    await asyncio.sleep(seconds)


def own_id():
    return get_current_job().id


async def own_id_later():
    return get_current_job().id


def count_users():
    return User.objects.count()


async def count_users_on_the_loop():
    return User.objects.count()


async def ping_redis_on_the_loop():
    return connections.redis().ping()


async def block_the_loop():
    time.sleep(0.3)


def refuse(job, connection, *result):
    raise ValueError("this callback fails")


def note(job, connection, *result):
    connection.rpush("test:notes", job.id)


async def enqueue_another(queue):
    await asyncio.sleep(0.5)
    await asyncio.to_thread(django_rq.get_queue(queue).enqueue, add, 1, 2, job_id="another")


async def crowd_the_loop(seconds):
    """Keep the event loop lagging by about 30 ms, as hundreds of concurrent answers do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.03)
        await asyncio.sleep(0)


# For workers that are to run them: JOBS_ALLOWED_FUNCTIONS.
ALLOWED = ",".join(f"{__name__}.{name}" for name, function in list(globals().items()) if inspect.isfunction(function))
