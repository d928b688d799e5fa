"""The hosts that are this very machine: nobody else reads what is sent to them."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str | None) -> bool:
    """Tell whether a URL's host, without port, is this machine (RFC 8252 §7.3)."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return (host or "").lower() == "localhost"
