"""Whatever a client sends, the answer is no 500: requests byte by byte, through Daphne."""

import socket

import pytest
from axes.models import AccessAttempt

from tests.support import Platform

LOGIN, ADMIN, TOKEN = "/accounts/login/", "/admin/login/", "/api/auth/token"
ASK, CONTACT = "/api/landing-assistant/query", "/api/landing-assistant/contact"
FORM, JSON, MULTIPART = "application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=b"
CSRF, CSRF_FIELD = "c" * 32, b"&csrfmiddlewaretoken=" + b"c" * 32
PART = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\nx\r\n--b--\r\n'
# Bytes that some parser, codec or column does not take.
ODD = [
    b"a\0b", b"\xff\xfe", b"\xed\xa0\x80", b"x" * 300, b"x" * 3000, b"http://[", b"http://[::1", b"http://a:port",
    b"http://a:99999999", b"a;b*=foo''%ff", b"a;b*=hex''%ff", b'"', b";", b",,", b"a/b;q=x", b"1e999", b"%00", b"\\000",
]  # fmt: skip


@pytest.fixture(autouse=True)
def counted():
    """Delete the recorded sign-in attempts, before they lock this network."""
    yield
    AccessAttempt.objects.all().delete()


@pytest.fixture
def status(platform: Platform):
    """A function that sends a request and returns the status of its answer."""

    def send(method="GET", path="/", body=b"", type_=FORM, version=b"HTTP/1.1", **headers):
        given = {
            "Host": b"localhost", "Connection": b"close", "Cookie": f"csrftoken={CSRF}".encode(),
            "X-CSRFToken": CSRF.encode(), "Content-Length": str(len(body)).encode(), "Content-Type": type_,
        }  # fmt: skip
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [b" ".join((_bytes(method), _bytes(path), version))]
        lines += [name.encode() + b": " + _bytes(value) for name, value in given.items()]
        with socket.create_connection(("127.0.0.1", platform.port), timeout=20) as connection:
            connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            answer = connection.makefile("rb").readline()
        assert answer.startswith(b"HTTP/1.1 "), f"no answer: {answer!r}"
        return int(answer.split()[1])

    return send


def _bytes(value):
    return value if isinstance(value, bytes) else value.encode("latin1")


def sign_in(name=b"nobody", token=CSRF_FIELD):
    return b"username=" + name + b"&password=" + token


@pytest.mark.parametrize("path", [LOGIN, ADMIN])
@pytest.mark.parametrize("name", [b"x" * 256, b"x" * 5000, b"a%00b", b"%ff", b"%ed%a0%80", b"%F0%9F%90%9D" * 200, b"%"])
def test_odd_names_fail_to_sign_in(status, path, name):
    body = sign_in(name).replace(b"password=", b"password=wrong")
    assert status("POST", path, body) in (200, 400)  # the form again


@pytest.mark.parametrize("path", [LOGIN, TOKEN])
@pytest.mark.parametrize("header", ["User_Agent", "Accept"])
def test_failed_sign_in_is_recorded_whatever_its_headers(status, path, header):
    for n, odd in enumerate(ODD[:5]):
        name = f"{header}{n}".encode()
        body, type_ = sign_in(name).replace(b"password=", b"password=wrong"), FORM
        if path == TOKEN:
            body, type_ = b'{"username": "%s", "password": "wrong"}' % name, JSON
        assert status("POST", path, body, type_, **{header: odd}) < 500, odd


CHARSETS = [
    "foo",
    "utf-16",
    "hex",
    "rot13",
    "idna",
    "undefined",
    "base64",
    "unicode_escape",
    "utf-7",
    "\0",
    '"',
    "x" * 300,
]


@pytest.mark.parametrize("charset", CHARSETS)
def test_odd_charsets(status, charset):
    for path in (LOGIN, ADMIN, TOKEN, ASK, CONTACT):
        bodies = [
            (FORM, sign_in()),
            (MULTIPART, PART % (b"username", b"")),
            (JSON, b'{"username": "\xc3\xa4"}'),
            (JSON, b"\xff"),
        ]
        for type_, body in bodies:
            assert 400 <= status("POST", path, body, f"{type_}; charset={charset}") < 500 or path in (LOGIN, ADMIN)
            assert status("POST", path, body, f"{type_}; charset={charset}") < 500


@pytest.mark.parametrize("charset", ["hex", "utf-16", "utf-7"])
def test_charset_that_is_refused_is_400_in_the_shape_of_the_api(anonymous, charset):
    answer = anonymous.post(TOKEN, content=b"{}", headers={"Content-Type": f"{JSON}; charset={charset}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
    assert "UTF-8" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "type_", ["a;b*=foo''%ff", "multipart/form-data", "multipart/form-data; boundary=\xff", "\0", ";"]
)
def test_odd_types_of_content(status, type_):
    for path in (LOGIN, TOKEN, ASK):
        assert 400 <= status("POST", path, sign_in(token=b""), type_, X_CSRFToken=b"") < 500


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--b", b"\xff" * 100, PART % (b"a\0b", b'; filename="x\0"'), PART % (b"a", b"; filename*=foo''%ff"),
        PART % (b"a", b"\r\nContent-Transfer-Encoding: base64"),
        PART % (b"a", b'; filename="x"\r\nContent-Type: a; charset=hex'),
        PART % (b"a" * 3000, b""), b"--b\r\n\xff: \xff\r\n\r\nx\r\n--b--\r\n",
    ],
)  # fmt: skip
def test_odd_multipart_bodies_are_answered(status, body):
    for path in (LOGIN, ADMIN, TOKEN, ASK):
        assert status("POST", path, body, MULTIPART) < 500


@pytest.mark.parametrize(
    "header", ["Accept", "Accept_Language", "Cookie", "Content_Type", "Origin", "Referer", "If_None_Match",
               "If_Modified_Since", "Range", "Authorization", "Idempotency_Key", "Daphne_Root_Path", "X_Request_ID",
               "X_Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Host", "Sec_Fetch_Site"],
)  # fmt: skip
def test_odd_headers(status, header):
    for odd in ODD:
        value = b"; ".join(name + odd for name in (b"sessionid=", b"visitor=", b"messages=", b"csrftoken="))
        given = {header: value if header == "Cookie" else odd}
        for path in ("/", LOGIN, "/api/courses", "/static/site/site.css"):
            assert status("GET", path, **given) < 500, (path, odd)
        if header != "Content_Type":
            assert status("POST", ASK, b'{"question": ""}', JSON, **given) < 500, odd
            assert status("POST", CONTACT, b'{"email": ""}', JSON, **given) < 500, odd
            assert status("POST", LOGIN, sign_in(), **given) < 500, odd


def test_odd_hosts(status):
    for host in [*ODD, b"", b"[::1", b"]", b"localhost:port", b"localhost:99999", b"a b"]:
        for path in ("/", TOKEN, "/static/site/site.css"):
            assert status("GET", path, Host=host) < 500, host


@pytest.mark.parametrize("header", ["Cookie", "Origin", "Host", "Sec_WebSocket_Protocol", "Daphne_Root_Path"])
def test_odd_handshakes(status, header):
    for odd in [*ODD, b'"aaaaaaaaaaaa\\000aaaa"']:
        handshake = {
            "Upgrade": b"websocket", "Connection": b"Upgrade", "Sec_WebSocket_Version": b"13",
            "Sec_WebSocket_Key": b"dGhlIHNhbXBsZSBub25jZQ==", "Origin": b"http://localhost",
            header: b"sessionid=" + odd + b"; visitor=" + odd if header == "Cookie" else odd,
        }  # fmt: skip
        assert status("GET", "/ws/jobs/", **handshake) < 500, odd


PATHS = [
    "/%00", "/%ff", "/%ed%a0%80", "/api/%00", "/static/%00", "/" + "x" * 5000, "//[", "//evil", "*", "http://[/",
    "/lessons/" + "9" * 40 + "/", "/api/lessons/%00", "/api/courses/%00", "/api/conversations/%00",
    f"{LOGIN}?next=http://[",
    f"{LOGIN}?next=%00", f"{LOGIN}?{'a=1&' * 1500}", f"/api/courses?{'a=1&' * 1500}", "/api/courses?limit=%00",
    "/?%", "/?%ff",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:30])
def test_odd_paths_and_queries(status, path):
    for method in ("GET", "POST"):
        assert status(method, path) < 500


def test_odd_request_lines(status):
    assert status(b"G\xff") == status(version=b"HTTP/1.\xff") == 400
    for method in ("PROPFIND", "get", "x" * 300, "TRACE", "OPTIONS"):
        for path in ("/", LOGIN, TOKEN):
            assert status(method, path) < 500


def test_client_cannot_choose_the_prefix_of_urls(anonymous):
    page = anonymous.get(LOGIN, headers={"Daphne-Root-Path": "/evil"})
    assert page.status_code == 200 and "/evil" not in page.text


@pytest.mark.parametrize("query", ["username__contains=%00", "date_joined__year=99999999999", "q=%00", "o=x", "p=x"])
def test_admin_lists_with_odd_filters(platform, staff, query):
    with platform.browser_session(staff) as admin:
        assert admin.get(f"/admin/auth/user/?{query}").status_code < 500


def test_parameters_that_django_does_not_take_are_400_in_the_shape_of_the_api(api):
    answer = api.get(f"/api/courses?{'a=1&' * 1500}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
