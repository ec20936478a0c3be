"""The network that a request comes from. Limits count networks, because one person can use many addresses of one."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from django.http import HttpRequest

UNKNOWN = "unknown"


def network_of(request: HttpRequest) -> str:
    """Return the /24 or /64 of the client's address. Clients without a valid address share the network UNKNOWN.

    Behind proxies, config/http/proxies.py has put the client's address in place of the proxy's.
    """
    try:
        address = ip_address(request.META.get("REMOTE_ADDR") or "")
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network((int(address), 24 if address.version == 4 else 64), strict=False))
