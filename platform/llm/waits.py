"""How long the upstream asks its callers to wait, in the several ways in which it says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
_SECONDS = (3600, 60, 1, 0.001)


def wanted(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the headers of a refusal (names in lower case); None when they do not say."""
    for read in (_milliseconds, _retry_after, _reset):
        with suppress(KeyError, ValueError):
            return max(0.0, read(headers))
    return None


def _milliseconds(headers: Mapping[str, str]) -> float:
    return float(headers["retry-after-ms"]) / 1000


def _retry_after(headers: Mapping[str, str]) -> float:
    value = headers["retry-after"]
    try:
        return float(value)
    except ValueError:  # a date, which HTTP allows too
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()


def _reset(headers: Mapping[str, str]) -> float:
    """Until what is used up is there again."""
    used_up = [kind for kind in ("requests", "tokens") if headers.get(f"x-ratelimit-remaining-{kind}") == "0"]
    return max(_seconds(headers[f"x-ratelimit-reset-{kind}"]) for kind in used_up)


def _seconds(span: str) -> float:
    """A span as OpenAI writes it: 6ms, 1.2s, 1m12s, 2h0m0s. ValueError for anything else."""
    parts = _SPAN.fullmatch(span)
    if not parts or not span:
        raise ValueError(span)
    return sum(float(part) * unit for part, unit in zip(parts.groups(), _SECONDS, strict=True) if part)
