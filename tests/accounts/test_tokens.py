"""Sign-in over the API, and what tokens and sessions authorise."""

import json

import pytest
from rest_framework.authtoken.models import Token

from tests.support import Platform, error_of


def sign_in(client, **credentials):
    return client.post("/api/auth/token", content=json.dumps(credentials), headers={"Content-Type": "application/json"})


def test_token_signs_in_and_stays_the_same(anonymous, learner, sql_course):
    responses = [sign_in(anonymous, username=learner.username, password="pass") for _ in range(2)]
    assert [response.status_code for response in responses] == [200, 200]
    token, again = (response.json()["token"] for response in responses)
    assert token == again
    courses = anonymous.get("/api/courses", headers={"Authorization": f"Token {token}"})
    assert [course["courseId"] for course in courses.json()["results"]] == [sql_course.slug]


def test_wrong_password_and_unknown_name_get_the_same_error(anonymous, learner):
    wrong = sign_in(anonymous, username=learner.username, password="guess")
    unknown = sign_in(anonymous, username="test-nobody", password="guess")
    assert error_of(wrong, 401) == error_of(unknown, 401)


def test_inactive_user_cannot_sign_in(anonymous, learner):
    learner.is_active = False
    learner.save()
    error_of(sign_in(anonymous, username=learner.username, password="pass"), 401)


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"username": "test-learner"},
        {"username": "", "password": ""},
        {"username": "a\0b", "password": "pass"},
        {"username": "a", "password": "\ud800"},
        {"username": ["a"], "password": {}},
        {"username": "a", "password": "p" * 5000},
    ],
)
def test_malformed_credentials_are_reported_by_field(anonymous, credentials):
    assert error_of(sign_in(anonymous, **credentials), 400)["details"]


@pytest.mark.parametrize("header", ["Token wrong", "Token", "Token a b", "Bearer x", "Token \xe4"])
def test_wrong_token_is_401(anonymous, header):
    response = anonymous.get("/api/courses", headers={"Authorization": header.encode("latin1")})
    error_of(response, 401)
    assert response.headers["WWW-Authenticate"] == "Token"


def test_token_of_an_inactive_user_is_401(api, learner):
    learner.is_active = False
    learner.save()
    error_of(api.get("/api/courses"), 401)


def test_deleted_token_is_401(api, learner):
    Token.objects.filter(user=learner).delete()
    error_of(api.get("/api/courses"), 401)


def test_session_works_for_reading_and_needs_csrf_for_writing(platform: Platform, learner):
    with platform.browser_session(learner) as browser:
        assert browser.get("/api/courses").status_code == 200
        assert browser.post("/api/ws-ticket").status_code == 200
        del browser.headers["X-CSRFToken"]
        error_of(browser.post("/api/ws-ticket"), 403)


def test_session_of_an_inactive_user_is_401(platform: Platform, learner):
    with platform.browser_session(learner) as browser:
        learner.is_active = False
        learner.save()
        error_of(browser.get("/api/courses"), 401)


def test_ticket_requires_authentication(anonymous):
    error_of(anonymous.post("/api/ws-ticket"), 401)
