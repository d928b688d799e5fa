"""The hosts that are this very machine: nobody else reads what is sent to them."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str | None) -> bool:
    """Tell whether a URL's host, without port, is this machine (RFC 8252 §7.3)."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return (host or "").lower() == "localhost"


def is_this_machine(host: str | None) -> bool:
    """Tell whether a host that a browser may be at is this machine, by any name.

    Browsers take ``0.0.0.0`` and all names below ``localhost`` for it, too.
    """
    name = (host or "").lower().rstrip(".")
    return is_loopback(host) or name in ("0.0.0.0", "::") or name.endswith(".localhost")
