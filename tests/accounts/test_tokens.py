"""Sign-in over the API, and what tokens and sessions authorise."""

import hashlib
import json
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import models
from accounts.models import ApiToken, find_token, issue_token
from tests.support import Platform, error_of


def sign_in(client, **credentials):
    return client.post("/api/auth/token", content=json.dumps(credentials), headers={"Content-Type": "application/json"})


def with_token(token):
    return {"Authorization": f"Token {token}"}


def test_each_sign_in_gives_a_new_token_and_all_of_them_work(anonymous, learner, sql_course):
    responses = [sign_in(anonymous, username=learner.username, password="pass") for _ in range(2)]
    assert [response.status_code for response in responses] == [200, 200]
    tokens = [response.json()["token"] for response in responses]
    assert tokens[0] != tokens[1]
    for token in tokens:
        courses = anonymous.get("/api/courses", headers=with_token(token))
        assert [course["courseId"] for course in courses.json()["results"]] == [sql_course.slug]


def test_answer_says_when_the_token_ends(anonymous, learner, settings):
    answer = sign_in(anonymous, username=learner.username, password="pass").json()
    assert set(answer) == {"token", "expiresAt"}
    days = (datetime.fromisoformat(answer["expiresAt"]) - timezone.now()) / timedelta(days=1)
    assert settings.API_TOKEN_DAYS - 0.1 < days <= settings.API_TOKEN_DAYS == 30


def test_signing_in_works_with_an_ended_token_in_the_header(anonymous, learner):
    anonymous.headers.update(with_token("ended"))
    assert sign_in(anonymous, username=learner.username, password="pass").status_code == 200


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


def test_deactivation_ends_tokens_that_are_used_meanwhile_for_good(api, learner):
    User.objects.filter(pk=learner.pk).update(is_active=False)
    error_of(api.get("/api/courses"), 401)
    User.objects.filter(pk=learner.pk).update(is_active=True)
    error_of(api.get("/api/courses"), 401)


def test_deleted_token_is_401(api, learner):
    learner.api_tokens.all().delete()
    error_of(api.get("/api/courses"), 401)


def test_expired_token_is_401(api, learner):
    learner.api_tokens.update(expires_at=timezone.now())
    error_of(api.get("/api/courses"), 401)


def test_password_change_ends_all_tokens(platform, api, learner):
    with platform.client(learner) as other:
        learner.set_password("another")
        learner.save()
        error_of(api.get("/api/courses"), 401)
        error_of(other.get("/api/courses"), 401)
    with platform.client(learner) as new:
        assert new.get("/api/courses").status_code == 200


def test_token_revokes_itself_and_no_other(platform, api, learner):
    with platform.client(learner) as other:
        assert api.delete("/api/auth/token").status_code == 204
        error_of(api.get("/api/courses"), 401)
        error_of(api.delete("/api/auth/token"), 401)
        assert other.get("/api/courses").status_code == 200


def test_revoking_takes_a_token(platform, anonymous, learner):
    error_of(anonymous.delete("/api/auth/token"), 401)
    with platform.browser_session(learner) as browser:
        error_of(browser.delete("/api/auth/token"), 401)


def test_oldest_token_gives_way_when_there_are_too_many(learner, monkeypatch):
    monkeypatch.setattr(models, "TOKENS_PER_PERSON", 3)
    tokens = [issue_token(learner)[0] for _ in range(5)]
    assert [find_token(token) is not None for token in tokens] == [False, False, True, True, True]
    assert learner.api_tokens.count() == 3


def test_issuing_a_token_deletes_ended_ones(learner, stranger):
    issue_token(learner)
    issue_token(stranger)
    learner.api_tokens.update(expires_at=timezone.now())
    issue_token(learner)
    assert (learner.api_tokens.count(), stranger.api_tokens.count()) == (1, 1)


def test_token_is_stored_as_a_hash_only(learner):
    token, row = issue_token(learner)
    stored = ApiToken.objects.filter(pk=row.pk).values().get()
    assert stored["hash"] == hashlib.sha256(token.encode()).hexdigest()
    assert token not in str(stored) and stored["ending"] == token[-4:]


def test_look_up_takes_one_query(learner):
    token, _ = issue_token(learner)
    assert find_token(token).user == learner  # notes the time of use
    with CaptureQueriesContext(connection) as queries:
        assert find_token(token).last_used_at is not None
    assert len(queries) == 1


def test_staff_see_and_revoke_tokens_but_cannot_read_them(platform, staff, learner):
    token, row = issue_token(learner)
    page = "/admin/accounts/apitoken/"
    with platform.browser_session(staff) as admin:
        shown = admin.get(page).text + admin.get(f"{page}{row.pk}/change/").text
        assert learner.username in shown and row.ending in shown
        assert not any(secret in shown for secret in (token, row.hash, row.fingerprint))
        assert admin.get(page, params={"hash__startswith": row.hash[:4]}).status_code in (302, 400)
        admin.post(f"{page}{row.pk}/delete/", data={"post": "yes"})
    assert find_token(token) is None


def test_migration_hashes_plain_tokens_and_leaves_none(learner):
    key, content_type = "0123456789abcdef" * 2, {"app_label": "authtoken", "model": "token"}
    call_command("migrate", "accounts", "0002", stdout=StringIO())
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE authtoken_token (key varchar(40) PRIMARY KEY, created timestamptz, user_id int)")
        cursor.execute("INSERT INTO authtoken_token VALUES (%s, now(), %s)", [key, learner.pk])
    ContentType.objects.create(**content_type)
    call_command("migrate", "accounts", stdout=StringIO())
    found = find_token(key)
    assert found.user == learner and found.ending == key[-4:]
    assert found.expires_at > timezone.now() + timedelta(days=29)
    assert "authtoken_token" not in connection.introspection.table_names()
    assert not ContentType.objects.filter(**content_type).exists()
    learner.set_password("another")
    learner.save()
    assert find_token(key) is None


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
