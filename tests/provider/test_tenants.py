"""Clients by tenant."""

from __future__ import annotations

import uuid

from flask_msal_errors.provider.client import Client
from flask_msal_errors.provider.tenants import TenantClients
from flask_msal_errors.settings import Settings
from support.parallel import in_threads

HOST = "https://login.microsoftonline.com"
ID = "11111111-1111-1111-1111-111111111111"


def clients(authority: str) -> tuple[TenantClients, Client]:
    settings = Settings(
        client_id=ID,
        client_credential="secret",
        authority=authority,
        allowed_tenants=("*",),
    )
    own = Client(settings)
    return TenantClients(settings, own), own


def test_one_tenant() -> None:
    """An app of one tenant has one client."""
    found, own = clients(f"{HOST}/contoso.example")
    assert found.of(ID) is found.of("another") is own


def test_several() -> None:
    """Each tenant has a client of its own, at its own endpoint."""
    found, own = clients(f"{HOST}/organizations")
    one = found.of(ID)
    assert one is found.of(ID) is not found.of(str(uuid.uuid4()))
    assert one is not own
    assert one.provider._settings.authority == f"{HOST}/{ID}"


def test_bounded() -> None:
    """Callers of any number of tenants leave a few clients behind."""
    found, _ = clients(f"{HOST}/common")
    first = found.of(ID)
    for _ in range(100):
        found.of(str(uuid.uuid4()))
    assert len(found._clients) == 32
    assert found.of(ID) is not first


def test_at_once() -> None:
    """Threads that come at once share one client."""
    found, seen = clients(f"{HOST}/common")[0], []
    in_threads(16, lambda _: seen.append(found.of(ID)))
    assert len({id(each) for each in seen}) == 1
