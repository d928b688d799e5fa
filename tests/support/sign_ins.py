"""Sign-ins at the emulator without an app, and the tokens that come of them."""

from __future__ import annotations

import base64
import collections.abc as cabc
import time
import typing as t
import zlib

import pytest

from flask_msal_errors.provider.client import Client
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.settings import Settings
from flask_msal_errors.testing import Emulator

REDIRECT_URI = "http://localhost/auth/callback"


def settings(entra: Emulator, **changes: t.Any) -> Settings:
    """Settings of an app that signs in at the emulator."""
    return Settings.from_mapping({**entra.config(), **changes})


@pytest.fixture
def client(entra: Emulator) -> cabc.Iterator[Client]:
    made = Client(settings(entra))
    yield made
    if made.provider.built:
        made.provider.connection().transport.close()


def packed(text: str | bytes) -> dict[str, str]:
    """The entry of a record that says ``text``."""
    data = text if isinstance(text, bytes) else text.encode()
    return {"plain": base64.b64encode(zlib.compress(data)).decode()}


def signed_in(
    entra: Emulator, client: Client, *scopes: str, name: str = "ada"
) -> Caches:
    """A person's caches after their sign-in."""
    return sign_in(entra, client, *scopes, name=name)[2]


def sign_in(
    entra: Emulator, client: Client, *scopes: str, name: str = "ada"
) -> tuple[dict[str, t.Any], dict[str, t.Any], Caches]:
    """Return what redeeming a person's code gives."""
    wanted = [entra.scope(scope) for scope in scopes or ("Profile.Read",)]
    flow = client.begin(wanted, redirect_uri=REDIRECT_URI)
    answer = entra.person(name).authorize(flow["auth_uri"])
    return client.redeem(flow, answer.params)


def aged(caches: Caches, **times: int) -> Caches:
    """The caches with other times (seconds from now) in all their access tokens."""
    changes = {name: str(int(time.time()) + left) for name, left in times.items()}
    kind = caches.tokens.CredentialType.ACCESS_TOKEN
    for entry in list(caches.tokens.search(kind)):
        caches.tokens.modify(kind, entry, {**entry, **changes})
    return caches
