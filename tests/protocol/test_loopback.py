"""Tests of the hosts that are this machine."""

from __future__ import annotations

import pytest

from flask_msal_errors.protocol.loopback import is_loopback
from flask_msal_errors.protocol.loopback import is_this_machine


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost", "127.0.0.1", "127.8.9.1", "::1"]
)
def test_this_machine(host: str) -> None:
    """The name and the addresses of RFC 8252 §7.3 are this machine."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "10.0.0.1",
    ],
)
def test_others(host: str | None) -> None:
    """Names that begin so, and addresses of a network, are not."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("shop.localhost", True),
        ("Shop.LocalHost.", True),
        ("localhost.evil.example", False),
        ("notlocalhost", False),
        ("10.0.0.1", False),
        (None, False),
    ],
)
def test_by_any_name(host: str | None, here: bool) -> None:
    """Hosts that a browser finds on this machine."""
    assert is_this_machine(host) is here
