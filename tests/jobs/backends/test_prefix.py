"""Installations that share a Redis do not meet, whether they use the same database number or not."""

import contextlib
import os
import subprocess
import sys

import httpx2
import pytest
from django.test import override_settings
from redis import Redis, RedisError

from devstack.servers import processes
from devstack.servers.processes import Supervisor
from jobs.backends import connections, upstream
from llm.governor import Caller
from tests.support import ROOT, Platform, ask, manage, wait_for

OTHERS = {"another number": {"number": 1}, "another SECRET_KEY": {"SECRET_KEY": "of another installation"}}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A Redis server that these tests have for themselves."""
    supervisor, port = Supervisor(tmp_path_factory.mktemp("supervisor")), processes.free_port()
    supervisor.start(processes.redis_server(port, tmp_path_factory.mktemp("redis")))
    with Redis.from_url(f"redis://127.0.0.1:{port}") as redis:
        wait_for(lambda: answers(redis))
    yield f"redis://127.0.0.1:{port}"
    supervisor.stop()


def answers(redis):
    with contextlib.suppress(RedisError):
        return redis.ping()


@contextlib.contextmanager
def process(*arguments, address, number=0, **env):
    """A process of an installation that has no REDIS_PREFIX of its own."""
    own = os.environ.pop("REDIS_PREFIX")
    try:
        running = manage(*arguments, REDIS_URL=f"{address}/{number}", **env)
    finally:
        os.environ["REDIS_PREFIX"] = own
    try:
        yield
    finally:
        processes.end(running)


def checks(platform):
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(f"{platform.url}/readyz").json()["checks"]


async def test_installations_do_not_see_each_others_answers_workers_and_limits(address, learner, sql_course):
    """They share the people, so that the groups of their sockets have the same names."""
    first, *others = [Platform(None) for _ in range(1 + len(OTHERS))]
    with contextlib.ExitStack() as stack:
        stack.enter_context(process("daphne", "--port", str(first.port), address=address))
        stack.enter_context(process("rqworker", address=address))
        for platform, env in zip(others, OTHERS.values(), strict=True):
            stack.enter_context(process("daphne", "--port", str(platform.port), address=address, **env))
        wait_for(lambda: (checks(first) or {}).get("worker"), timeout=90, what="for the first installation")
        for platform in others:
            assert wait_for(lambda p=platform: checks(p), timeout=60)["worker"] is False
        async with contextlib.AsyncExitStack() as sockets:
            opened = []
            for each, env in zip((first, *others), ({}, *OTHERS.values()), strict=True):
                with override_settings(**{name: env[name] for name in env if name == "SECRET_KEY"}):  # it signs tickets
                    opened.append(await sockets.enter_async_context(each.socket(learner)))
            own, *foreign = opened
            with first.client(learner) as client:
                ask(client, sql_course)
            assert len(await own.until()) > 3
            for each in foreign:
                assert await each.silent(0.5)
    with Redis.from_url(address, decode_responses=True) as redis:
        keys = redis.keys()
        [prefix] = {key.partition(":")[0] for key in keys}
        assert len(prefix) == 8
        named = {key.split(":")[1] for key in keys}
        assert {"aijob", "rq", "governor"} <= named, keys


@pytest.fixture
def prefixed(settings):
    """Switches this process to the prefix of another installation."""

    def switch(prefix):
        settings.REDIS_KEY_PREFIX = prefix

    return switch


async def test_breakers_and_permits_belong_to_one_installation(prefixed):
    async with connections.async_redis() as redis:
        prefixed("one:")
        [model, *_] = sorted(upstream.models())
        ours = upstream.Upstream(redis)
        await upstream.hold_breaker(redis, model, "open", "ada")
        await ours._traffic.governor.close_for(model, 60, gently=False)
        assert dict(await upstream.breaker_states(redis))[model] == "held open"
        assert len(await upstream.breaker_changes(redis)) == 1
        assert await ours.blocked() == {model: False}
        prefixed("two:")
        theirs = upstream.Upstream(redis)
        assert dict(await upstream.breaker_states(redis))[model] == "closed"
        assert await upstream.breaker_changes(redis) == []
        assert await theirs.blocked() == {}
        assert await theirs._traffic.governor.permit(model, Caller(), 10) < 5
        await redis.delete(*[key async for key in redis.scan_iter("one:*")])
        await redis.delete(*[key async for key in redis.scan_iter("two:*")])


PRINT = """
import manage, django
django.setup()
from django.conf import settings
from rq.defaults import RQ_KEY_PREFIX
print(settings.REDIS_KEY_PREFIX, RQ_KEY_PREFIX, settings.CHANNEL_LAYERS["default"]["CONFIG"]["prefix"])
"""


@pytest.mark.parametrize(
    ("env", "same"),
    [
        ({}, True),
        ({"REDIS_URL": "redis://127.0.0.1:1?db=0"}, True),
        ({"REDIS_URL": "redis://127.0.0.1:1/1"}, False),
        ({"SECRET_KEY": "another-key-that-is-long-enough"}, False),
    ],
)
def test_prefix_depends_on_the_number_and_the_key(env, same):
    def prefix(**env):
        clean = {name: value for name, value in os.environ.items() if name not in ("REDIS_PREFIX", "RQ_KEY_PREFIX")}
        env = clean | {"REDIS_URL": "redis://127.0.0.1:1/0"} | env
        return subprocess.check_output([sys.executable, "-c", PRINT], cwd=ROOT, env=env, text=True).split()

    ours, rq, groups = prefix()
    assert (rq, groups) == (f"{ours}rq", f"{ours}asgi")
    assert (prefix(**env)[0] == ours) is same
    assert prefix(REDIS_PREFIX="school") == ["school:", "school:rq", "school:asgi"]
