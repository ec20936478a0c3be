"""Sign-in is locked after ten wrong passwords."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.support import error_of, unique

TOKEN, LOGIN = "/api/auth/token", "/accounts/login/"
PASSWORD = "pass"


@pytest.fixture(autouse=True)
def counted():
    """The recorded sign-in attempts, deleted after the test."""
    yield AccessAttempt.objects
    AccessAttempt.objects.all().delete()


@pytest.fixture
def person(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # hashing takes a second otherwise
    return User.objects.create_user(unique("test-guessed"), password=PASSWORD)


def sign_in(person, password, path=TOKEN, address="203.0.113.7"):
    credentials = {"username": person.username, "password": password}
    as_json = {"content_type": "application/json"} if path == TOKEN else {}
    return Client(REMOTE_ADDR=address).post(path, credentials, **as_json)


def guess(person, times, **where):
    for _ in range(times):
        assert "sessionid" not in (answer := sign_in(person, "wrong", **where)).cookies
        assert answer.status_code in (200, 401, 429)  # the form again, the API's refusal, or the lockout


def test_correct_password_is_refused_after_ten_wrong_ones(person):
    guess(person, 10)
    answer = sign_in(person, PASSWORD)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_attempts")
    assert answer.headers["Retry-After"] == "600" and answer.json()["error"]["retryAfter"] == 600
    page = sign_in(person, PASSWORD, path=LOGIN)
    assert page.status_code == 429 and "try again in ten minutes" in page.content.decode()


def test_pages_and_api_share_one_count(person):
    guess(person, 5)
    guess(person, 5, path=LOGIN)
    assert sign_in(person, PASSWORD, path="/admin/login/").status_code == 429


def test_correct_password_before_the_limit_resets_the_count(person):
    for _ in range(2):
        guess(person, 9)
        assert sign_in(person, PASSWORD).status_code == 200


def test_lockout_ends_after_ten_minutes_despite_further_attempts(person, counted):
    guess(person, 12)
    counted.update(attempt_time=timezone.now() - timedelta(minutes=11))
    assert sign_in(person, PASSWORD).status_code == 200


def test_guesses_from_elsewhere_or_for_another_name_lock_nobody_out(person):
    other = User.objects.create_user(unique("test-other"), password=PASSWORD)
    guess(person, 10)
    assert sign_in(person, PASSWORD, address="198.51.100.7").status_code == 200
    assert sign_in(other, PASSWORD).status_code == 200


def test_another_address_of_the_same_network_is_locked_out_too(person):
    guess(person, 10, address="2001:db8::1")
    assert sign_in(person, PASSWORD, address="2001:db8::ffff:2").status_code == 429


def test_tenth_wrong_password_over_http_is_429(anonymous, learner):
    for _ in range(9):
        error_of(anonymous.post(TOKEN, json={"username": learner.username, "password": "wrong"}), 401)
    for password in ("wrong", PASSWORD):
        error = error_of(anonymous.post(TOKEN, json={"username": learner.username, "password": password}), 429)
        assert error["code"] == "too_many_attempts"


def test_row_stores_neither_password_nor_token(person, counted):
    form = {"username": person.username, "password": "hunter2", "csrfmiddlewaretoken": "c" * 64}
    Client().post(LOGIN, form)
    row = str(counted.filter(username=person.username).values().get())
    assert "hunter2" not in row and "ccc" not in row


def test_staff_see_lockouts_and_end_them(platform, staff, person, counted):
    guess(person, 10)
    row = counted.get(username=person.username)
    with platform.browser_session(staff) as admin:
        index = admin.get("/admin/").text
        assert "Access attempts" in index and "Access logs" not in index and "Access failures" not in index
        assert person.username in admin.get("/admin/axes/accessattempt/").text
        admin.post(f"/admin/axes/accessattempt/{row.pk}/delete/", data={"post": "yes"})
    assert sign_in(person, PASSWORD).status_code == 200
