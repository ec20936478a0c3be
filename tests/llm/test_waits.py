"""Reading the time to wait from response headers."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from llm import waits


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6ms"}, 0.006),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.2s"}, 1.2),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m12s"}, 72),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2h0m1s"}, 7201),
        ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "1m12s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "tomorrow"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": ""}, None),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "tomorrow"}, None),
        ({}, None),
    ],
)
def test_wait_is_read_from_the_headers(headers, seconds):
    assert waits.wanted(headers) == (seconds if seconds is None else pytest.approx(seconds))


def test_the_longer_of_two_resets_counts():
    used_up = {f"x-ratelimit-remaining-{kind}": "0" for kind in ("requests", "tokens")}
    assert waits.wanted(used_up | {"x-ratelimit-reset-requests": "2s", "x-ratelimit-reset-tokens": "30s"}) == 30


def test_a_date_is_read():
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < waits.wanted({"retry-after": date}) <= 30
