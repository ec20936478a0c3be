"""The one Origin check: does the page that opens a socket or sends a request belong to this site?"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from django.conf import settings

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_ours(origin: str, scheme: str, host: str) -> bool:
    """Return whether the origin has this scheme and host ("name" or "name:port"), or is one of TRUSTED_ORIGINS.

    An origin or host that cannot be parsed is not ours.
    """
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        return _parts(urlsplit(origin)) == _parts(urlsplit(f"{scheme}://{host}"))
    except ValueError:  # a port that is not a number, an unfinished IPv6 address
        return False


def _parts(url: SplitResult) -> tuple[str, str | None, int]:
    return url.scheme, url.hostname, url.port or DEFAULT_PORTS.get(url.scheme, 0)
