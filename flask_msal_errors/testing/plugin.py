"""The pytest plugin: fixture ``entra``, an emulator that is fresh in every test.

pytest loads this module in every run, so nothing is imported before it is used.
"""

from __future__ import annotations

import collections.abc as cabc
import os
import typing as t

import pytest

if t.TYPE_CHECKING:
    from .emulator import Emulator
    from .entra.model import User


@pytest.fixture(scope="session")
def entra_server() -> cabc.Iterator[Emulator]:
    """One emulator for the whole run."""
    from .emulator import Emulator

    with Emulator() as server:
        yield server


@pytest.fixture
def entra(entra_server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, back at its start; its address and signing keys stay."""
    # requests puts these variables above a session's own ``verify``.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    monkeypatch.setenv("no_proxy", f"{direct},localhost".strip(","))
    entra_server.reset()
    return entra_server


@pytest.fixture
def entra_in_process(entra: Emulator) -> cabc.Iterator[Emulator]:
    """``entra``, which this process reaches without sockets where it uses requests."""
    with entra.in_process():
        yield entra


@pytest.fixture
def sign_in(entra: Emulator) -> cabc.Callable[..., User]:
    """``sign_in(client, "ada", acrs=…, scopes=…)``: ``entra.sign_in``."""
    return entra.sign_in
