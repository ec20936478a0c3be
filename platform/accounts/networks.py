"""The network that a request comes from, for limits: one person may have many addresses, but hardly many networks."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

UNKNOWN = "unknown"


def network_of(request: HttpRequest) -> str:
    """The /24 or /64 of the client's address. All whose address cannot be told count as one network."""
    try:
        address = ip_address(_client_address(request))
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network((int(address), 24 if address.version == 4 else 64), strict=False))


def _client_address(request: HttpRequest) -> str:
    """The address that our outermost proxy saw. Each proxy adds one at the end; what stands before was sent along by
    the client, who may have made it up."""
    if not settings.PROXIES:
        return request.META.get("REMOTE_ADDR") or ""
    seen = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    return seen[-settings.PROXIES] if len(seen) >= settings.PROXIES else ""
