"""What proxies write into X-Forwarded-For and X-Forwarded-Proto is read once, and counts everywhere."""

import asyncio
import json

import httpx2
import pytest
import websockets
from django.http import HttpRequest

from accounts.networks import network_of
from accounts.visitors import VISITOR_COOKIE
from config.http.proxies import Proxies
from conversations.models import Conversation
from landing.models import Counter
from tests.landing.conftest import QUERY
from tests.support import Platform, error_of, wait_for

FOR, PROTO = b"x-forwarded-for", b"x-forwarded-proto"


def seen_behind(*headers, proxies=None, kind="http", **scope):
    """The scope that the application behind the proxies gets."""
    seen = {}

    async def application(scope, receive, send):
        seen.update(scope)

    scope = {"type": kind, "path": "/", "headers": [*headers], "client": ["10.0.0.1", 1], **scope}
    asyncio.run((proxies or Proxies(application))(scope, None, None))
    return seen


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (b"203.0.113.5", "203.0.113.5"),
        (b"203.0.113.5:5555", "203.0.113.5"),
        (b" 203.0.113.5 ", "203.0.113.5"),
        (b'"203.0.113.5:5555"', "203.0.113.5"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"[2001:db8::1]:443", "2001:db8::1"),
        (b'"[2001:db8::1]:443"', "2001:db8::1"),
        (b"fe80::1%eth0", "fe80::1"),
        (b"[fe80::1%25eth0]:443", "fe80::1"),
        (b"::ffff:203.0.113.5", "203.0.113.5"),
        (b"198.51.100.1, 203.0.113.5:5555", "203.0.113.5"),
        (b"unknown, 203.0.113.5", "203.0.113.5"),
        (b"198.51.100.1,, 203.0.113.5,", "203.0.113.5"),
        (b"203.0.113.5, unknown", None),
        (b"unknown", None),
        (b"_hidden", None),
        (b"203.0.113.999", None),
        (b"203.0.113.5:80:90", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"[", None),
    ],
)
def test_address_is_read_as_proxies_write_it(settings, value, address):
    settings.PROXIES = 1
    client = seen_behind((FOR, value))["client"]
    assert (client and client[0]) == address


@pytest.mark.parametrize(
    ("proxies", "lines", "address"),
    [
        (0, [b"203.0.113.5"], "10.0.0.1"),
        (1, [], None),
        (1, [b"198.51.100.1", b"203.0.113.5"], "203.0.113.5"),
        (2, [b"198.51.100.1, 203.0.113.5:80, 192.0.2.1"], "203.0.113.5"),
        (2, [b"198.51.100.1", b"203.0.113.5, 192.0.2.1"], "203.0.113.5"),
        (2, [b"203.0.113.5"], None),
    ],
)
def test_address_that_the_first_of_our_proxies_saw_counts(settings, proxies, lines, address):
    settings.PROXIES = proxies
    client = seen_behind(*((FOR, line) for line in lines))["client"]
    assert (client and client[0]) == address


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("lines", "is_secure"),
    [
        ([b"https"], True),
        ([b"HTTPS"], True),
        ([b"wss"], True),
        ([b'"https"'], True),
        ([b"https, http"], True),
        ([b"https,https"], True),
        ([b"wss", b"http"], True),
        ([b"http"], False),
        ([b"ws"], False),
        ([b"http, https"], False),
        ([b"httpsx"], False),
        ([b""], False),
        ([], False),
    ],
)
def test_scheme_is_read_as_proxies_write_it(settings, kind, lines, is_secure):
    settings.BEHIND_PROXY = True
    scheme = seen_behind(*((PROTO, line) for line in lines), kind=kind)["scheme"]
    assert scheme == {("http", True): "https", ("http", False): "http"}.get(
        (kind, is_secure), "wss" if is_secure else "ws"
    )


def test_without_proxies_the_headers_say_nothing(settings):
    assert not settings.BEHIND_PROXY
    scope = seen_behind((FOR, b"203.0.113.5"), (PROTO, b"https"), scheme="http")
    assert (scope["client"], scope["scheme"]) == (["10.0.0.1", 1], "http")


def test_each_problem_is_logged_once_and_briefly(settings, caplog):
    settings.PROXIES, settings.BEHIND_PROXY = 1, True

    async def application(scope, receive, send):
        pass

    proxies = Proxies(application)
    for path in ("/healthz", "/readyz", "/metrics"):  # probes come past the proxies
        seen_behind(path=path, proxies=proxies)
    assert not caplog.records
    for n in range(3):
        seen_behind((FOR, b"nonsense\n" * 99 + str(n).encode()), (PROTO, b"gopher"), proxies=proxies)
        seen_behind(proxies=proxies)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4 and {record.levelname for record in caplog.records} == {"WARNING"}
    for name in ("X-Forwarded-For", "X-Forwarded-Proto"):
        assert [line.split(":")[0] for line in lines if name in line] == [f"{name} is unreadable", f"{name} is missing"]
    assert all(len(line) < 250 and "\n" not in line for line in lines)


def test_network_of_a_client_without_an_address_is_unknown():
    assert network_of(HttpRequest()) == "unknown"


# --- Through Daphne ----------------------------------------------------------------------------------------


class Behind(Platform):
    """The platform as a proxy that ends TLS calls it."""

    def lines(self, logger, **fields):
        parsed = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in parsed if line["logger"] == logger and fields.items() <= line.items()]


@pytest.fixture(scope="module")
def behind(platform, tmp_path_factory):
    folder = tmp_path_factory.mktemp("behind")
    (folder / "logs").mkdir()
    env = {
        "DEV_DATA": str(folder), "LOG_FORMAT": "json", "HTTPS": "1", "BEHIND_PROXY": "1", "PROXIES": "2",
        "LANDING_QUESTIONS_PER_NETWORK": "2",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as environment:
        for name, value in env.items():
            environment.setenv(name, value)
        with Behind(platform.stack) as running:
            running.log = folder / "logs" / "daphne.log"
            yield running


@pytest.mark.parametrize("proto", ["https", "wss", "https, http", "HTTPS,HTTPS"])
async def test_pages_and_sockets_work_whatever_proxies_write(behind, learner, proto):
    through = {"X-Forwarded-Proto": proto, "X-Forwarded-For": "203.0.113.5:5555, 10.0.0.2"}
    with behind.browser_session(learner) as browser:
        page = browser.get("/courses/", headers=through)
        assert page.status_code == 200 and "Strict-Transport-Security" in page.headers
        cookie = f"sessionid={browser.cookies['sessionid']}"
    origin = behind.url.replace("http", "https", 1)
    async with behind.handshake(Cookie=cookie, Origin=origin, **through) as socket:
        await socket.send('{"type": "ping"}')
        assert json.loads(await socket.recv()) == {"type": "pong"}
    for path in ("/courses/", "/ws/jobs/"):
        wait_for(lambda path=path: behind.lines("access", path=path, client="203.0.113.5"))


def test_plain_http_is_still_redirected(behind):
    for proto in ("http", "ws", "http, https"):
        answer = httpx2.get(behind.url, headers={"X-Forwarded-Proto": proto})
        assert answer.status_code == 301 and answer.headers["Location"].startswith("https://")


@pytest.fixture
def no_traces():
    """Delete what visitors have left."""
    Counter.objects.all().delete()
    yield
    Counter.objects.all().delete()
    Conversation.objects.exclude(visitor="").delete()


def test_limits_count_the_clients_network_whatever_its_port(behind, no_traces):
    def ask(address):
        headers = {"X-Forwarded-For": f"1.2.3.4, {address}, 10.0.0.2", "X-Forwarded-Proto": "https"}
        return httpx2.post(behind.url + QUERY, json={"question": "How much?"}, headers=headers)

    for address in ("203.0.113.5:5555", "203.0.113.6:6666"):
        answer = ask(address)
        assert answer.status_code == 202 and VISITOR_COOKIE in answer.headers["Set-Cookie"]
    assert error_of(ask("203.0.113.7"), 429)["code"] == "too_many"
    assert ask("198.51.100.5:5555").status_code == 202
    assert ask("[2001:db8::1]:443").status_code == 202


async def test_log_says_why_a_handshake_was_refused(behind):
    secure = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.5, 10.0.0.2"}
    ours = behind.url.replace("http", "https", 1)
    refused = [
        ({"Origin": "https://evil.example"}, "the origin https://evil.example is neither https://localhost:"),
        ({"Origin": ours, "X-Forwarded-Proto": "http"}, "is neither http://localhost:"),
        ({"Origin": ours}, "neither a signed-in user nor a visitor"),
        ({}, "neither a ticket nor an Origin"),
        ({"query": "?ticket=unknown"}, "its ticket is unknown"),
    ]
    for headers, _ in refused * 2:
        with pytest.raises(websockets.InvalidStatus):
            async with behind.handshake(**(secure | headers)):
                pass
    for _, reason in refused:
        found = [line for line in behind.lines("accounts.sockets") if reason in line["message"]]
        assert len(found) == 1 and found[0]["message"].startswith("WebSocket refused: "), reason
    with pytest.raises(websockets.InvalidStatus):
        async with websockets.connect(
            f"ws://evil.example:{behind.port}/ws/jobs/", host="localhost", additional_headers=secure
        ):
            pass
    [line] = [line for line in behind.lines("accounts.sockets") if "ALLOWED_HOSTS" in line["message"]]
    assert line["level"] == "warning" and "evil.example" in line["message"]


async def test_refusals_cannot_flood_the_log(behind):
    for n in range(40):
        with pytest.raises(websockets.InvalidStatus):
            async with behind.handshake(Origin=f"https://evil-{n}.example"):
                pass
    assert len(behind.lines("accounts.sockets")) < 30


def test_header_that_cannot_be_read_is_logged_once(behind):
    for n in range(3):
        httpx2.get(behind.url, headers={"X-Forwarded-For": f"unknown-{n}", "X-Forwarded-Proto": "https"})
    wait_for(lambda: len(behind.lines("access", client="unknown")) >= 3)
    assert len([line for line in behind.lines("config.http.proxies") if "For is unreadable" in line["message"]]) == 1
