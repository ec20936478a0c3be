"""Reads how long the upstream asks its callers to wait, from any of the headers that say so."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SPAN = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:([\d.]{1,20})s)?(?:([\d.]{1,20})ms)?")
_SECONDS = (3600, 60, 1, 0.001)
LONGEST = 86400.0  # seconds; who is told to wait for longer tries again after a day


def wanted(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait according to the headers of a refusal (names in lower case), at most LONGEST.

    None if no header says, or none that can be read.
    """
    for read in (_milliseconds, _retry_after, _reset):
        with suppress(KeyError, ValueError, TypeError, OverflowError):  # the last two: odd dates
            seconds = read(headers)
            if not math.isnan(seconds):
                return min(max(0.0, seconds), LONGEST)
    return None


def _milliseconds(headers: Mapping[str, str]) -> float:
    return float(headers["retry-after-ms"]) / 1000


def _retry_after(headers: Mapping[str, str]) -> float:
    value = headers["retry-after"]
    try:
        return float(value)
    except ValueError:  # an HTTP date
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()


def _reset(headers: Mapping[str, str]) -> float:
    """Seconds until the exhausted limits are reset."""
    exhausted = [kind for kind in ("requests", "tokens") if headers.get(f"x-ratelimit-remaining-{kind}") == "0"]
    return max(_seconds(headers[f"x-ratelimit-reset-{kind}"]) for kind in exhausted)


def _seconds(span: str) -> float:
    """Parse a duration as OpenAI writes it: 6ms, 1.2s, 1m12s, 2h0m0s. Raises ValueError for anything else."""
    parts = _SPAN.fullmatch(span)
    if not parts or not span:
        raise ValueError(span)
    return sum(float(part) * unit for part, unit in zip(parts.groups(), _SECONDS, strict=True) if part)
