"""The staff page of the circuit breakers."""

import re

from django.test import Client
from redis.exceptions import ConnectionError as RedisConnectionError


def page(client):
    return re.sub(r"\s+", " ", client.get("/admin/upstream/").text)


def test_staff_see_every_model_and_hold_a_breaker(platform, staff):
    with platform.browser_session(staff) as client:
        assert "gpt-4.1-mini</th> <td>closed</td>" in page(client)
        form = {"model": "gpt-4.1-mini", "hold": "open"}
        assert client.post("/admin/upstream/", data=form).status_code == 302
        assert "gpt-4.1-mini</th> <td>held open</td>" in page(client)
        client.post("/admin/upstream/", data=form | {"hold": "auto"})
        shown = page(client)
    assert "gpt-4.1-mini</th> <td>closed</td>" in shown
    assert f"<td>held open</td><td>{staff.username}</td>" in shown


def test_unknown_model_cannot_be_held(platform, staff):
    with platform.browser_session(staff) as client:
        form = {"model": "nonsense", "hold": "open"}
        client.post("/admin/upstream/", data=form)
        assert "There is no such model or state." in page(client)


def test_learners_have_no_access(platform, learner):
    with platform.browser_session(learner) as client:
        assert client.get("/admin/upstream/").status_code in {302, 403}


def test_hold_without_redis_is_told_and_changes_nothing(staff, monkeypatch):
    async def away(*arguments):
        raise RedisConnectionError

    monkeypatch.setattr("jobs.admin.breakers._set", away)
    client = Client()
    client.force_login(staff)
    response = client.post("/admin/upstream/", {"model": "gpt-4.1-mini", "hold": "open"})
    assert response.status_code == 302
    assert "Redis is away: the breaker is unchanged." in client.get("/admin/upstream/").content.decode()
