"""Errors below /api/ have one JSON shape, other errors are pages; neither shows internals."""

import pytest
from django.db import connection

from tests.support import Platform, error_of

SECRETS = ("Traceback", "courses_course", "ProgrammingError", "does not exist", "psycopg", "site-packages")


@pytest.fixture
def broken():
    """A platform whose database lacks a table."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE courses_course RENAME TO courses_course_away")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE courses_course_away RENAME TO courses_course")
    connection.close()


def assert_page(response, status):
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    assert "<html" in response.text and not any(secret in response.text for secret in SECRETS)


@pytest.mark.parametrize(
    "path", ["/api/", "/api/nothing", "/api/courses/a/b/c", "/api/nothing.json?format=html", "/api/%00"]
)
def test_unknown_path_below_api_is_404_as_json(api, path):
    response = api.get(path, headers={"Accept": "text/html"})
    assert error_of(response, 404) == {"code": "not_found", "message": "Not found."}
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "path", ["/nothing", "/courses/nothing/", "/lessons/0/", "/nothing/%00", "/apiary", "/lessons/" + "9" * 30 + "/"]
)
def test_unknown_page_is_404_as_a_page(platform: Platform, learner, path):
    with platform.browser_session(learner) as browser:
        assert_page(browser.get(path), 404)


def test_wrong_method_is_405_and_names_the_allowed_methods(api):
    response = api.delete("/api/courses")
    assert error_of(response, 405)["code"] == "method_not_allowed"
    assert "GET" in response.headers["Allow"]


def test_failure_in_the_api_is_500_without_internals(api, broken):
    response = api.get("/api/courses")
    assert error_of(response, 500) == {"code": "internal", "message": "Something went wrong on our side."}


def test_failure_in_a_page_is_500_without_internals(platform: Platform, learner, broken):
    with platform.browser_session(learner) as browser:
        assert_page(browser.get("/courses/"), 500)


def test_foreign_host_name_is_400(anonymous):
    headers = {"Host": "evil.example"}
    error_of(anonymous.get("/api/courses", headers=headers), 400)
    assert_page(anonymous.get("/", headers=headers), 400)


def test_page_without_csrf_token_is_403(anonymous):
    assert_page(anonymous.post("/accounts/login/", data={"username": "a", "password": "b"}), 403)


def test_unacceptable_accept_header_gets_the_same_error_shape(api):
    error_of(api.get("/api/courses", headers={"Accept": "text/html"}), 406)


@pytest.mark.parametrize("path", ["/api/courses", "/accounts/login/", "/api/docs", "/nothing"])
def test_every_response_has_the_security_headers(anonymous, path):
    headers = anonymous.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
