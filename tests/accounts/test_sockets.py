"""WebSocket authentication: by ticket, or by cookie together with our own origin."""

import asyncio
from datetime import timedelta

import pytest
import websockets
from django.contrib.auth.models import User
from django.core.signing import Signer
from django.utils import timezone

from accounts import sockets
from accounts.models import WsTicket, issue_ticket, issue_token
from accounts.people import VISITOR_COOKIE
from tests.conftest import TRUSTED_ORIGIN
from tests.support import Platform, Socket, database


async def is_let_in(platform: Platform, query="", **headers):
    try:
        async with platform.handshake(query, **headers) as connection:
            await Socket(connection).send({"type": "ping"})
            return await Socket(connection).next() == {"type": "pong"}
    except websockets.InvalidStatus as refused:
        assert refused.response.status_code in (400, 403)  # 400: the Origin is not a URL
        return False


@pytest.fixture
def ticket(api):
    return f"?ticket={api.post('/api/ws-ticket').json()['ticket']}"


@pytest.fixture
def session(platform: Platform, learner):
    with platform.browser_session(learner) as browser:
        return f"sessionid={browser.cookies['sessionid']}"


async def test_ticket_is_accepted_once(platform: Platform, ticket):
    assert await is_let_in(platform, ticket)
    assert not await is_let_in(platform, ticket)


async def test_ticket_used_twice_concurrently_is_accepted_once(platform: Platform, ticket):
    results = await asyncio.gather(*(is_let_in(platform, ticket) for _ in range(4)))
    assert sorted(results) == [False, False, False, True]


async def test_expired_ticket_is_refused(platform: Platform, ticket):
    row = WsTicket.objects.latest("expires_at")
    row.expires_at -= timedelta(seconds=61)
    row.save()
    assert not await is_let_in(platform, ticket)


def test_new_ticket_deletes_expired_ones(learner):
    issue_ticket(learner)
    WsTicket.objects.update(expires_at="2020-01-01T00:00Z")
    issue_ticket(learner)
    assert WsTicket.objects.filter(user=learner).count() == 1


def test_ticket_is_not_stored_in_plain_text(ticket):
    assert ticket.removeprefix("?ticket=") not in WsTicket.objects.values_list("hash", flat=True)


@pytest.mark.parametrize("query", ["", "?ticket=", "?ticket=unknown", "?ticket=%00", "?ticket=%ff", "?token=x"])
async def test_handshake_without_a_valid_ticket_or_cookie_is_refused(platform: Platform, query):
    assert not await is_let_in(platform, query)


def change_password(user):
    user.set_password("another")
    user.save()


def deactivate(user):
    User.objects.filter(pk=user.pk).update(is_active=False)


def revoke(user):
    user.api_tokens.all().delete()


def expire(user):
    user.api_tokens.update(expires_at=timezone.now())


ENDS = [change_password, deactivate, revoke, expire]


@pytest.mark.parametrize("end", ENDS)
async def test_ticket_ends_with_what_it_was_issued_for(platform: Platform, ticket, learner, end):
    await database.call(end, learner)
    assert not await is_let_in(platform, ticket)


@pytest.mark.parametrize("end", [change_password, deactivate])
async def test_ticket_of_a_session_ends_with_the_password_and_the_account(platform: Platform, learner, end):
    with platform.browser_session(learner) as browser:
        ticket = f"?ticket={browser.post('/api/ws-ticket').json()['ticket']}"
    await database.call(end, learner)
    assert not await is_let_in(platform, ticket)


@pytest.mark.parametrize("end", ENDS)
def test_socket_may_not_stay_when_its_ticket_would_not_be_issued_again(learner, end):
    token = issue_token(learner)[1]
    tickets = [issue_ticket(learner, token), issue_ticket(learner)]
    scopes = [{"headers": [(b"host", b"localhost")], "query_string": b"ticket=" + t.encode()} for t in tickets]
    passes = [sockets.pass_of(scope) for scope in scopes]
    assert sockets.still_valid(passes) == {*passes}
    end(learner)
    # The second one was issued to a session, without a token.
    assert sockets.still_valid(passes) == ({passes[1]} if end in (revoke, expire) else set())


@pytest.mark.parametrize("end", [change_password, deactivate])
def test_socket_with_a_session_may_not_stay_after_the_end_of_it(session, learner, end):
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"cookie", session.encode())]
    scope = {"headers": headers, "query_string": b""}
    allowed = sockets.pass_of(scope)
    assert sockets.still_valid({allowed}) == {allowed}
    end(learner)
    assert sockets.still_valid({allowed}) == set()


async def test_ticket_of_an_inactive_user_is_refused(platform: Platform, ticket, learner):
    learner.is_active = False
    learner.save()
    assert not await is_let_in(platform, ticket)


@pytest.mark.parametrize(
    ("origin", "is_ours"),
    [
        ("http://localhost:{port}", True),
        ("http://LOCALHOST:{port}", True),
        (TRUSTED_ORIGIN, True),
        (TRUSTED_ORIGIN.replace("https", "http"), False),
        (TRUSTED_ORIGIN + ":8443", False),
        ("https://localhost:{port}", False),
        ("http://localhost", False),
        ("http://localhost:1", False),
        ("http://localhost.evil.example:{port}", False),
        ("http://evil.example", False),
        ("http://evil.example:{port}", False),
        ("null", False),
        ("", False),
        ("http://[", False),
        ("http://localhost:port", False),
    ],
)
async def test_cookie_is_accepted_only_from_our_own_origin(platform: Platform, session, origin, is_ours):
    origin = origin.format(port=platform.port)
    assert await is_let_in(platform, Cookie=session, Origin=origin) is is_ours


async def test_cookie_without_origin_is_refused(platform: Platform, session):
    assert not await is_let_in(platform, Cookie=session)


async def test_ticket_from_another_origin_is_refused(platform: Platform, ticket):
    assert not await is_let_in(platform, ticket, Origin="http://evil.example")
    assert await is_let_in(platform, ticket, Origin=platform.url)


async def test_foreign_host_name_is_refused(platform: Platform, session):
    """DNS rebinding: a host name of the attacker that resolves to us would make their Origin match."""
    evil = f"evil.example:{platform.port}"
    headers = {"Cookie": session, "Origin": f"http://{evil}"}
    with pytest.raises(websockets.InvalidStatus):
        async with websockets.connect(f"ws://{evil}/ws/jobs/", host="localhost", additional_headers=headers):
            pass


async def test_unknown_session_is_refused(platform: Platform):
    assert not await is_let_in(platform, Cookie="sessionid=abcdefghijklmnop", Origin=platform.url)


async def test_session_of_an_inactive_user_is_refused(platform: Platform, session, learner):
    learner.is_active = False
    learner.save()
    assert not await is_let_in(platform, Cookie=session, Origin=platform.url)


@pytest.mark.parametrize(
    ("cookie", "is_signed"),
    [
        (lambda: Signer(salt=VISITOR_COOKIE).sign("a1b2c3"), True),
        (lambda: Signer(salt=VISITOR_COOKIE).sign("a1b2c3").replace("a1", "a2", 1), False),
        (lambda: Signer(salt=VISITOR_COOKIE).sign("a1b2c3") + "x", False),
        (lambda: Signer(salt="other").sign("a1b2c3"), False),
        (lambda: "a1b2c3", False),
        (lambda: "", False),
    ],
    ids=["signed", "changed", "longer", "signed for something else", "unsigned", "empty"],
)
async def test_unsigned_visitor_cookie_is_refused(platform: Platform, cookie, is_signed):
    assert await is_let_in(platform, Cookie=f"visitor={cookie()}", Origin=platform.url) is is_signed
