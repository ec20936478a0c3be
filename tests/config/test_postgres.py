"""After a restart of Postgres the web process recovers at once, whatever connections its pool holds."""

import asyncio
import time

import httpx2
from django.db import connection

from tests.support import Platform, wait_for


async def together(platform: Platform, user, count: int) -> None:
    """Send many concurrent requests, so that the pool of the web process holds many connections afterwards."""
    with platform.client(user) as client:
        options = {"base_url": client.base_url, "headers": client.headers}
    async with httpx2.AsyncClient(**options, timeout=20) as http:
        answers = await asyncio.gather(*(http.get("/api/courses") for _ in range(count)))
    assert {answer.status_code for answer in answers} == {200}


def test_first_request_after_a_postgres_restart_succeeds_quickly(platform: Platform, learner, api):
    asyncio.run(together(platform, learner, 60))
    platform.stack.postgres.kill()
    platform.stack.postgres.start()
    connection.close()
    wait_for(lambda: learner.refresh_from_db() is None)
    began = time.monotonic()
    assert api.get("/api/courses").status_code == 200
    assert time.monotonic() - began < 6
