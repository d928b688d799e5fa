"""Fixtures of the emulator's tests."""

from __future__ import annotations

import collections.abc as cabc
import importlib.metadata
import json

import pytest
import requests

from flask_msal_errors.testing import Emulator
from support.middle_tier import tier as tier
from support.msal_client import MsalClient

if "flask_msal_errors" not in importlib.metadata.entry_points(group="pytest11").names:
    from flask_msal_errors.testing.plugin import entra as entra
    from flask_msal_errors.testing.plugin import entra_in_process as entra_in_process
    from flask_msal_errors.testing.plugin import entra_server as entra_server


@pytest.fixture
def http(entra: Emulator) -> cabc.Iterator[requests.Session]:
    """An HTTP client that trusts the emulator."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = entra.ca_file
        yield session


@pytest.fixture
def client(entra: Emulator, http: requests.Session) -> MsalClient:
    """An app with nobody signed in, and Ada in front of a browser."""
    return MsalClient(entra, http)


@pytest.fixture
def context_claims() -> str:
    """A claims request for authentication context c1."""
    return json.dumps({"access_token": {"acrs": {"essential": True, "value": "c1"}}})
