"""Texts and numbers that Postgres cannot store are refused with the contract's error, on every route."""

import json
import re
import socket

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, get_resolver

from conversations.models import Conversation, Message
from courses.models import Enrollment
from jobs.models import AiJob
from personas.models import Persona, Profile, Question, Questionnaire
from tests.support import Platform, error_of, unique
from tutors.models import Draft

JSON = {"Content-Type": "application/json"}
IN_PATHS = ["%00", "a%00b", "%ED%A0%80", "%FF", "_00", "9" * 30, "9" * 5000, "-1", "x" * 300, "%F0%9F%90%9D"]
# As JSON, with \u escapes.
TEXTS = [r'"a\u0000b"', r'"\ud800"', r'"\udc00\ud800"', r'"a\u0000' + "x" * 5000 + '"']
VALUES = [*TEXTS, "1" + "0" * 30, "-1" + "0" * 30, "1" * 4500, "1e999", "NaN", "1.5e308", "true", "null", "[]",
          '{"a":' * 200 + "1" + "}" * 200, r'{"a\u0000": 1}', r'{"a": {"b": ["\ud800"]}}', '"9999-99-99"',
          '"' + "9" * 30 + '"']  # fmt: skip


@pytest.fixture
def tutor(sql_course):
    """Staff with every permission, who are also a learner and a tutor of the course."""
    user = User.objects.create(username=unique("test-all"), is_staff=True, is_superuser=True)
    Enrollment.objects.create(user=user, course=sql_course)
    sql_course.tutors.add(user)
    return user


@pytest.fixture
def known(tutor, sql_course):
    """The path parameters of things that exist and belong to this person."""
    job = AiJob.objects.create(kind="assistant.answer", queue="interactive", owner=tutor, status="completed")
    conversation = Conversation.objects.create(surface="assistant", owner=tutor, course=sql_course, title="About NULL")
    answer = Message.objects.create(conversation=conversation, role="assistant", text="So.", job=job)
    content = {"kind": "reply", "asked": "Why?", "text": "So.", "citations": []}
    draft = Draft.objects.create(course=sql_course, kind="reply", content=content, position=0)
    questionnaire = Questionnaire.objects.create(title="You", version=1_000_000)
    Question.objects.create(questionnaire=questionnaire, key="why", text="Why?")
    persona = Persona.objects.create(key=unique("key"), name="P", description="d", tone="t", pace="p")
    Profile.objects.create(user=tutor, questionnaire=questionnaire, answers=[], persona=persona)
    yield {
        "job_id": job.pk, "conversation_id": conversation.pk, "message_id": answer.pk, "draft_id": draft.pk,
        "course_id": sql_course.slug, "lesson_id": sql_course.lessons.first().pk, "question_id": answer.pk,
    }  # fmt: skip
    draft.delete()
    conversation.delete()
    Profile.objects.filter(questionnaire=questionnaire).delete()
    questionnaire.delete()
    persona.delete()


@pytest.fixture
def everything(platform: Platform, tutor, known):
    with platform.client(tutor) as client:
        yield client


@pytest.fixture(scope="module")
def schema(platform: Platform):
    with platform.client() as client:
        return client.get("/api/schema", headers={"Accept": "application/json"}).json()


def operations(schema):
    return [
        (method.upper(), path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]


def fields_of(schema, operation):
    """The field names of an operation's JSON body; None if it has no body."""
    body = operation.get("requestBody")
    if body is None:
        return None
    reference = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    return schema["components"]["schemas"][reference].get("properties", {})


def example(name, known):
    """A value that the API accepts for this field, as JSON."""
    values = {
        "courseId": known["course_id"], "question": "What?", "level": "answers", "rating": "up", "reason": "",
        "title": "T", "version": 1, "content": {"text": "So."}, "answers": {"why": "So."}, "personaId": "unknown",
        "username": "x", "password": "y", "email": "a@example.org", "message": "Hello",
    }  # fmt: skip
    return json.dumps(values[name]) if name in values else None


def refused(response):
    """Assert that the response is an error of the contract, or no error at all."""
    assert response.status_code < 500, (response.request.method, response.request.url, response.text)
    if response.status_code >= 400:
        return error_of(response, response.status_code)


def test_bodies(everything, known, schema):
    tried = 0
    for method, path, operation in operations(schema):
        fields = fields_of(schema, operation)
        if fields is None or path == "/api/auth/token":  # which counts wrong passwords
            continue
        url = path.format(**known)
        for field in fields:
            others = {name: value for name in fields if name != field and (value := example(name, known))}
            for value in VALUES:
                body = ", ".join(f'"{name}": {text}' for name, text in (others | {field: value}).items())
                response = everything.request(method, url, content=f"{{{body}}}", headers=JSON)
                error = refused(response)
                if value in TEXTS:
                    assert error["code"] == "invalid" and list(error["details"]) == [field], (url, field, value)
                tried += 1
        for content in (r'{"a\u0000": 1}', r'["\ud800"]', "[" * 200 + "]" * 200, "NaN", "1e999"):
            response = everything.request(method, url, content=content, headers=JSON)
            assert refused(response)["code"] in ("invalid", "parse_error"), content
    assert tried > 300


@pytest.mark.parametrize("value", [*TEXTS, "1e999", "NaN", "[]", "1" * 4500])
def test_signing_in(platform: Platform, value):
    with platform.client() as client:
        for body in (f'{{"username": {value}, "password": "x"}}', f'{{"username": "x", "password": {value}}}'):
            refused(client.post("/api/auth/token", content=body, headers=JSON))


def test_nested_drafts_are_refused_with_the_place(everything, known):
    url = "/api/tutors/courses/{course_id}/drafts/{draft_id}".format(**known)
    for content, place in (({"text": "a\0b"}, "content: text"), ({"text": [{"a\0": 1}]}, "content: text: 0: a\\x00")):
        response = everything.patch(url, content=json.dumps({"version": 1, "content": content}), headers=JSON)
        assert error_of(response, 400)["message"].startswith(f"{place}: ")
    assert Draft.objects.get(pk=known["draft_id"]).version == 1


def test_path_parameters(everything, known, schema):
    for method, path, _ in operations(schema):
        for name in re.findall(r"\{(\w+)\}", path):
            for value in IN_PATHS:
                response = everything.request(method, path.format(**known | {name: value}), content="{}", headers=JSON)
                assert refused(response) is not None, (method, path, value)


QUERIES = ["q=%00", "%00=q", "after=%00", "limit=%00", f"limit={'9' * 30}&offset={'9' * 30}", f"offset={'9' * 5000}",
           "offset=-1", "limit=NaN", "surface=%00", "courseId=a%00b", "status=%00", "conversation=%00", "format=%00",
           "q=%ED%A0%80", "q=%FF", "page=1e999", f"page={'9' * 30}"]  # fmt: skip


def test_query_strings(everything, known, schema):
    for method, path, _ in operations(schema):
        if method == "GET":
            for query in QUERIES:
                response = everything.get(f"{path.format(**known)}?{query}", headers={"Accept": "*/*"})
                assert response.status_code < 500, (path, query)
                if response.status_code >= 400 and not path.endswith("/export"):
                    refused(response)


def test_idempotency_keys_and_request_ids(everything, known):
    body = {"courseId": known["course_id"], "question": "What?"}
    for value in (b"a\xffb", b"\xed\xa0\x80", b"x" * 256, b"a\tb", b""):
        headers = {b"Idempotency-Key": value, b"X-Request-ID": value}
        refused(everything.post("/api/assistant/query", json=body, headers=headers))


def routes(patterns, before=""):
    for pattern in patterns:
        route = before + re.sub(r"^\^|\$$", "", str(pattern.pattern))
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern.url_patterns, route)


def urls(route):
    """This route with each of the values in place of its parameters."""
    plain = re.sub(r"\(\?P<\w+>[^)]*\)\??|<\w+>|<(\w+):\w+>", "{}", route).replace("\\", "").replace("/?", "/")
    return [f"/{plain.replace('{}', value)}" for value in (IN_PATHS if "{}" in plain else [""])]


def test_pages_and_the_admin(platform: Platform, tutor, known):
    """With everything that people could write into the address."""
    tried = 0
    with platform.browser_session(tutor) as browser:
        for route in set(routes(get_resolver().url_patterns)):
            if route.startswith(("api/jobs/<str:job_id>/events", "static/")) or "logout" in route:
                continue
            for url in urls(route):
                for query in ("", "?q=%00") if url in urls(route)[:1] else ("",):
                    response = browser.get(url + query)
                    assert response.status_code < 500, (url[:200], query)
                    tried += 1
    assert tried > 200


LISTS = ["q=%00", "id__exact=_00", f"id={'9' * 30}", "created_at__year=99999999", "e=%00", f"p={'9' * 30}", "o=%00",
         "created_at__gte=0001-01-01T00:00%2B15", "owner__id=1e400", "status__exact=a%00"]  # fmt: skip


@pytest.mark.parametrize("query", LISTS)
def test_lists_of_the_admin(platform: Platform, tutor, query):
    with platform.browser_session(tutor) as browser:
        for model in ("jobs/aijob", "courses/enrollment", "landing/courseoffer", "personas/profile", "tutors/draft"):
            assert browser.get(f"/admin/{model}/?{query}", follow_redirects=True).status_code < 500, (model, query)


def test_forms(platform: Platform, tutor, known):
    """Of the pages and the admin, also with another charset and as multipart."""
    token = "c" * 32
    forms = {
        f"/courses/{known['course_id']}/guidance/": {"level": "a\0"},
        "/accounts/login/": {"username": "a\0", "password": "x"},
        "/admin/personas/persona/add/": {"key": "k", "name": "a\0", "description": "d", "tone": "t", "pace": "p"},
        "/admin/landing/faqentry/add/": {"question": "a\0", "answer": "b", "position": "9" * 30},
        "/admin/jobs/aijob/": {"action": "retry_jobs", "_selected_action": "\0"},
        "/admin/upstream/": {"model": "\0", "hold": "open"},
    }
    with platform.browser_session(tutor) as browser:
        for url, fields in forms.items():
            form = fields | {"csrfmiddlewaretoken": token}
            response = browser.post(url, data=form)
            assert response.status_code == 400 and "cannot be stored" in response.text, (url, response.status_code)
            assert browser.post(url, data=form, files={"x": b"y"}).status_code == 400
            for charset in ("utf-16-le", "unicode_escape", "hex", "rot13", "undefined", "nonsense"):
                headers = {"Content-Type": f"application/x-www-form-urlencoded; charset={charset}"}
                assert browser.post(url, content=b"name=%5Cud800", headers=headers).status_code in (400, 403)
        huge = {"question": "Q", "answer": "A", "position": "9" * 30, "csrfmiddlewaretoken": token}
        assert browser.post("/admin/landing/faqentry/add/", data=huge).status_code == 200  # shown again with the error


@pytest.mark.parametrize("charset", ["hex", "unicode_escape", "rot13", "utf-16", "undefined", "nonsense", ""])
def test_query_strings_are_utf_8_whatever_the_charset(everything, charset):
    headers = {"Content-Type": f"text/plain; charset={charset}"}
    response = everything.get("/api/conversations?surface=%5Cud800", headers=headers)
    if response.status_code == 400:  # a charset that is none
        assert response.json()["error"]["code"] == "invalid"
    else:
        assert response.status_code == 200 and response.json()["results"] == []


COOKIES = ['sessionid="abcdefgh\\000x"', 'visitor="\\000:x"', 'csrftoken="\\000"', 'sessionid="\\377\\376abcdefgh"']


@pytest.mark.parametrize("cookie", COOKIES)
async def test_cookies(platform: Platform, cookie):
    with platform.client() as client:
        assert client.get("/courses/", headers={"Cookie": cookie}).status_code == 302
        assert client.get("/accounts/login/", headers={"Cookie": cookie}).status_code == 200
        error_of(client.get("/api/courses", headers={"Cookie": cookie}), 401)
    import websockets

    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with platform.handshake(Origin=platform.url, Cookie=cookie):
            pass
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize("header", [b"Authorization: Token a\0b", b"User-Agent: a\0b", b"Idempotency-Key: \0"])
def test_raw_bytes_in_headers(platform: Platform, header):
    with socket.create_connection(("localhost", platform.port), timeout=10) as connection:
        body = b"username=x&password=y"
        lines = [b"POST /api/auth/token HTTP/1.1", b"Host: localhost", header, b"Connection: close",
                 b"Content-Type: application/json", b"Content-Length: %d" % len(body)]  # fmt: skip
        connection.sendall(b"\r\n".join([*lines, b"", body]))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert not answer.startswith(b"HTTP/1.1 5"), answer


async def test_socket_messages(platform: Platform, tutor, known):
    async with platform.socket(tutor) as person:
        for value in VALUES:
            job_id = json.dumps(str(known["job_id"]))
            for text in (
                f'{{"type": "resume", "jobId": {value}}}',
                f'{{"type": "resume", "jobId": {job_id}, "after": {{"attempt": {value}, "seq": {value}}}}}',
            )[: 1 if value in VALUES[10:] else 2]:
                await person.send(text)
                assert (await person.next())["type"] == "error", text
        await person.send({"type": "ping"})
        assert (await person.next())["type"] == "pong"


def test_pages_have_no_such_fault_in_process(tutor):
    """Django's own test client sends what no server lets through."""
    client = Client(raise_request_exception=False)
    client.force_login(tutor)
    for header in ("HTTP_USER_AGENT", "HTTP_REFERER", "HTTP_AUTHORIZATION"):
        assert client.post("/accounts/login/", {"username": "x", "password": "y"}, **{header: "a\0b"}).status_code < 500
