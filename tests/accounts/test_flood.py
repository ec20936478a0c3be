"""Floods of failed sign-ins: refused by network before a hash, few hashes at once, no database connection meanwhile."""

import threading
import time
from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone

from accounts import guesses, passwords
from tests.support import unique, wait_for

TOKEN = "/api/auth/token"
PAGES = ["/accounts/login/", "/admin/login/"]


@pytest.fixture(autouse=True)
def counted():
    """The recorded sign-in attempts, deleted after the test."""
    yield AccessAttempt.objects
    AccessAttempt.objects.all().delete()


@pytest.fixture
def fast(settings):
    """Hashing that costs nothing, so that many sign-ins can be tried."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def person(fast):
    return User.objects.create_user(unique("test-person"), password="pass")


def sign_in(name=None, password="wrong", path=TOKEN, address="203.0.113.7"):
    credentials = {"username": name or unique("nobody"), "password": password}
    as_json = {"content_type": "application/json"} if path == TOKEN else {}
    return Client(REMOTE_ADDR=address).post(path, credentials, **as_json)


def fail(times, **where):
    for _ in range(times):
        assert sign_in(**where).status_code == 401


def test_made_up_names_use_up_what_a_network_may_fail(person, settings):
    settings.SIGN_IN_FAILURES_PER_NETWORK = 5
    fail(3)
    fail(2, address="203.0.113.8")
    answer = sign_in(person.username, "pass")
    error = error_of_django(answer, 429, "too_many_attempts")
    assert 0 < error["retryAfter"] <= 120 and f"in {error['retryAfter']} seconds" in error["message"]
    for path in PAGES:
        page = sign_in(person.username, "pass", path=path)
        assert page.status_code == 429 and "from your network" in page.content.decode()
        assert 0 < int(page["Retry-After"]) <= 120
    assert sign_in(person.username, "pass", address="198.51.100.7").status_code == 200


def test_refused_sign_ins_hash_nothing_and_are_not_counted(person, settings, counted, monkeypatch):
    settings.SIGN_IN_FAILURES_PER_NETWORK = 5
    fail(5)
    before = counted.count()
    monkeypatch.setattr("django.contrib.auth.hashers.MD5PasswordHasher.encode", lambda *args: pytest.fail("hashed"))
    assert {sign_in(path=path).status_code for path in (TOKEN, *PAGES) for _ in range(4)} == {429}
    assert counted.count() == before == 5


def test_network_may_try_again_as_failures_drain(person, settings, counted):
    settings.SIGN_IN_FAILURES_PER_NETWORK = 5
    fail(5)
    error = error_of_django(sign_in(person.username, "pass"), 429, "too_many_attempts")
    counted.update(attempt_time=F("attempt_time") - timedelta(seconds=error["retryAfter"]))
    assert sign_in(person.username, "pass").status_code == 200
    fail(1)
    assert sign_in(person.username, "pass").status_code == 429


def test_successful_sign_ins_of_a_network_are_not_counted(person, settings, counted):
    settings.SIGN_IN_FAILURES_PER_NETWORK = 2
    assert {sign_in(person.username, "pass").status_code for _ in range(6)} == {200}
    assert not counted.exists()


def test_clients_of_unknown_address_are_not_locked_out_together(person, settings):
    settings.SIGN_IN_FAILURES_PER_NETWORK = 2
    fail(6, address="")
    assert sign_in(person.username, "pass", address="").status_code == 200


def test_wait_is_short_and_failures_that_lie_back_count_less(settings):
    """50 failures at once fill the bucket of 50, which drains by one in 12 seconds."""
    now, each = timezone.now(), timedelta(seconds=12)

    def wait_after(*failures):
        AccessAttempt.objects.all().delete()
        for ago, times in failures:
            AccessAttempt.objects.create(
                ip_address="203.0.113.0", username=unique("nobody"), failures_since_start=times
            )
            AccessAttempt.objects.filter(attempt_time__gt=now).update(attempt_time=now - ago)
        return guesses.seconds_to_wait("203.0.113.0", now)

    assert settings.SIGN_IN_FAILURES_PER_NETWORK == 50
    assert [wait_after((0 * each, n)) for n in (49, 50, 51, 500)] == [0, 12, 12, 12]
    assert [wait_after((ago * each, 50)) for ago in (0.5, 1, 10)] == [6, 0, 0]
    assert wait_after((10 * each, 50), (0 * each, 9)) == 0
    assert wait_after((10 * each, 50), (0 * each, 10)) == 12
    assert wait_after((50 * each, 50), (0 * each, 49)) == 0


@pytest.fixture
def slots(monkeypatch):
    """The slots for hashing, all taken; returns them."""
    taken = threading.BoundedSemaphore(passwords.HASHES_AT_ONCE)
    for _ in range(passwords.HASHES_AT_ONCE):
        taken.acquire()
    monkeypatch.setattr(passwords, "_slots", taken)
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.05)
    return taken


def test_sign_in_without_a_free_slot_is_503_and_is_not_counted(learner, slots, counted):
    error = error_of_django(sign_in(learner.username, "pass"), 503, "sign_in_busy")
    assert error["retryAfter"] == passwords.RETRY_SECONDS
    for path in PAGES:
        page = sign_in(path=path)
        assert page.status_code == 503 and "Too many people are signing in" in page.content.decode()
        assert page["Retry-After"] == str(passwords.RETRY_SECONDS)
    assert not counted.exists()
    slots.release()
    assert sign_in(learner.username, "pass").status_code == 200


@pytest.mark.parametrize("hashes", [lambda: make_password("x"), lambda: check_password("pass", make_password("pass"))])
@pytest.mark.parametrize("hasher", ["PBKDF2", "PBKDF2SHA1", "Scrypt"])
def test_everything_that_hashes_waits_for_a_slot(slots, settings, hasher, hashes):
    settings.PASSWORD_HASHERS = [f"accounts.passwords.{hasher}"]
    with pytest.raises(passwords.Busy):
        hashes()
    slots.release()
    hashes()


def test_passwords_of_other_hashers_can_be_checked(settings):
    for name in ("PBKDF2PasswordHasher", "PBKDF2SHA1PasswordHasher", "ScryptPasswordHasher"):
        settings.PASSWORD_HASHERS = [f"django.contrib.auth.hashers.{name}"]
        encoded = make_password("pass")
        del settings.PASSWORD_HASHERS
        assert check_password("pass", encoded) and not check_password("other", encoded), name


def test_changing_a_password_without_a_free_slot_is_503(staff, slots):
    browser = Client()
    browser.force_login(staff)
    form = {"old_password": "pass", "new_password1": "long-enough-1", "new_password2": "long-enough-1"}
    assert browser.post("/admin/password_change/", form).status_code == 503


def test_no_database_connection_is_held_while_hashing(slots, monkeypatch):
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 30)
    held = []

    def hash_one():
        connections["default"].ensure_connection()
        held.append(connections["default"])
        make_password("x")
        connections.close_all()

    thread = threading.Thread(target=hash_one)
    thread.start()
    wait_for(lambda: held and held[0].connection is None)
    slots.release()
    thread.join()


def test_hashing_inside_a_transaction_keeps_its_connection():
    with transaction.atomic():
        User.objects.create(username=(name := unique("test-kept")))
        make_password("x")
        assert User.objects.filter(username=name).exists()


def test_lesson_is_served_while_many_sign_in_with_made_up_names(platform, learner, sql_course, anonymous):
    """Every lesson is served, which it was not while each sign-in held a connection and a share of the processor."""
    path, ends = f"/lessons/{sql_course.lessons.first().pk}/", time.monotonic() + 5
    statuses = []

    def flood():
        with platform.client() as client:
            while time.monotonic() < ends:
                name = {"username": unique("nobody"), "password": "x"}
                statuses.append(client.post(TOKEN, json=name).status_code)

    threads = [threading.Thread(target=flood) for _ in range(20)]
    with platform.browser_session(learner) as browser:
        for thread in threads:
            thread.start()
        lessons = []
        while time.monotonic() < ends:
            lessons.append(browser.get(path).status_code)
        for thread in threads:
            thread.join()
    assert set(lessons) == {200} and set(statuses) <= {401, 429, 503} and 401 in statuses
    assert len(lessons) > statuses.count(401)


def error_of_django(response, status, code):
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    error = response.json()["error"]
    assert error["retryAfter"] == int(response["Retry-After"])
    return error
