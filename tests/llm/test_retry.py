"""Retries within one call: how long they wait, and that callers do not retry at the same moment."""

import time
from itertools import pairwise

import pytest

from llm import retry
from llm.errors import ErrorKind, LlmError
from llm.retry import LONGEST_WAIT, TRIES

DOWN = LlmError(ErrorKind.TRANSIENT, "down")
CEILINGS = [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def waits_after(*errors):
    """The wait after each of these failures in a row."""
    waits = retry._waits()
    next(waits)
    return [waits.send(error) for error in errors]


def failing(*errors):
    """An attempt that raises these errors in turn, and the times of its calls."""
    moments = []

    async def attempt():
        moments.append(time.monotonic())
        raise errors[min(len(moments), len(errors)) - 1]

    return attempt, moments


@pytest.mark.parametrize(("place", "ceiling"), list(enumerate(CEILINGS)))
def test_waits_have_full_jitter_below_a_ceiling_that_doubles_up_to_a_maximum(place, ceiling):
    waits = sorted(waits_after(*[DOWN] * len(CEILINGS))[place] for _ in range(500))
    assert 0 <= waits[0] < 0.1 * ceiling
    assert 0.9 * ceiling < waits[-1] <= ceiling <= LONGEST_WAIT
    assert 0.4 * ceiling < sum(waits) / len(waits) < 0.6 * ceiling


def test_retry_after_replaces_the_wait_and_the_ceiling_still_grows():
    asked = LlmError(ErrorKind.RATE_LIMITED, "busy", retry_after=3.5)
    waits = [waits_after(asked, asked, DOWN) for _ in range(500)]
    assert {(first, second) for first, second, _ in waits} == {(3.5, 3.5)}
    assert 1.0 < max(third for _, _, third in waits) <= 2.0


async def test_retry_after_is_waited_in_full_before_each_try():
    attempt, moments = failing(LlmError(ErrorKind.RATE_LIMITED, "busy", retry_after=0.2))
    with pytest.raises(LlmError):
        await retry.in_call(attempt)
    assert len(moments) == TRIES
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(moments))


@pytest.mark.parametrize(
    "error",
    [
        LlmError(ErrorKind.RATE_LIMITED, "busy", retry_after=LONGEST_WAIT + 0.1),
        LlmError(ErrorKind.PAUSED, "held"),
        LlmError(ErrorKind.QUOTA, "no credit"),
    ],
    ids=lambda error: error.kind.name.lower(),
)
async def test_failure_without_retry_in_the_call_is_raised_at_once(error):
    attempt, moments = failing(error)
    with pytest.raises(LlmError) as failed:
        await retry.in_call(attempt)
    assert failed.value is error
    assert len(moments) == 1


async def test_last_failure_is_raised():
    first, last = LlmError(ErrorKind.TRANSIENT, "first", retry_after=0.01), LlmError(ErrorKind.QUOTA, "last")
    attempt, moments = failing(first, last)
    with pytest.raises(LlmError) as failed:
        await retry.in_call(attempt)
    assert failed.value is last
    assert len(moments) == 2
