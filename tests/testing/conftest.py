"""What the emulator's own tests share: MSAL, and plain requests, on the other side."""

from __future__ import annotations

import base64
import collections.abc as cabc
import json
import re
import typing as t

import msal
import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person

REDIRECT_URI = "http://localhost/callback"
C1 = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


class Partner:
    """An app that MSAL makes: what a client of the emulator sees on the wire."""

    def __init__(self, entra: Emulator, **options: t.Any) -> None:
        self.entra = entra
        settings: dict[str, t.Any] = {
            "client_credential": entra.client_secret,
            "authority": entra.authority,
            "verify": entra.ca_file,
            "instance_discovery": False,
            "client_capabilities": ["CP1"],
        }
        self.msal = msal.ConfidentialClientApplication(
            entra.client_id, **{**settings, **options}
        )
        self.person: Person | None = None

    def begin(self, *scopes: str, **options: t.Any) -> dict[str, t.Any]:
        """MSAL's flow for an authorize request, by default for the profile."""
        names = [self.entra.scope(name) for name in scopes or ("Profile.Read",)]
        options.setdefault("redirect_uri", REDIRECT_URI)
        options.setdefault("response_mode", "form_post")
        return t.cast(
            "dict[str, t.Any]", self.msal.initiate_auth_code_flow(names, **options)
        )

    def sign_in(
        self, person: Person | str = "ada", *scopes: str, **options: t.Any
    ) -> dict[str, t.Any]:
        """The result of a sign-in by a person, who stays for the next one."""
        self.person = self.entra.person(person) if isinstance(person, str) else person
        flow = self.begin(*scopes, **options)
        params = self.person.authorize(flow["auth_uri"]).params
        return t.cast(
            "dict[str, t.Any]", self.msal.acquire_token_by_auth_code_flow(flow, params)
        )

    def refresh(self, *scopes: str, claims: str | None = None) -> dict[str, t.Any]:
        """The result of a refresh, error or not."""
        return t.cast(
            "dict[str, t.Any]",
            self.msal.acquire_token_silent_with_error(
                [self.entra.scope(name) for name in scopes or ("Profile.Read",)],
                account=self.msal.get_accounts()[0],
                force_refresh=True,
                claims_challenge=claims,
            ),
        )

    def call(self, path: str, token: str, **options: t.Any) -> requests.Response:
        """The API's answer to a bearer token."""
        return requests.request(
            options.pop("method", "GET"),
            f"{self.entra.api_url}{path}",
            headers={"Authorization": f"Bearer {token}"},
            verify=self.entra.ca_file,
            timeout=10,
            **options,
        )

    def post_token(self, **form: t.Any) -> requests.Response:
        """The token endpoint's raw answer; secret and client id go along."""
        own = {
            "client_id": self.entra.client_id,
            "client_secret": self.entra.client_secret,
        }
        return requests.post(
            f"{self.entra.authority}/oauth2/v2.0/token",
            {k: v for k, v in {**own, **form}.items() if v is not None},
            verify=self.entra.ca_file,
            timeout=10,
        )

    def post_refresh(self, token: str, **form: t.Any) -> requests.Response:
        """The raw answer to a refresh for the profile."""
        form.setdefault("scope", self.entra.scope("Profile.Read"))
        return self.post_token(grant_type="refresh_token", refresh_token=token, **form)


@pytest.fixture
def partner(entra: Emulator) -> Partner:
    """An app that declared CP1."""
    return Partner(entra)


@pytest.fixture
def make_partner(entra: Emulator) -> cabc.Callable[..., Partner]:
    """A function that makes apps with other options of MSAL's."""
    return lambda **options: Partner(entra, **options)


def peek(token: str) -> dict[str, t.Any]:
    """A token's claims, unverified."""
    part = token.split(".")[1]
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return t.cast("dict[str, t.Any]", json.loads(data))


def challenge_claims(header: str) -> dict[str, t.Any]:
    """The claims in a ``WWW-Authenticate`` header."""
    found = re.search(r'claims="([^"]+)"', header)
    assert found
    data = base64.b64decode(found[1] + "=" * (-len(found[1]) % 4))
    return t.cast("dict[str, t.Any]", json.loads(data))


@pytest.fixture(name="peek")
def _peek() -> cabc.Callable[[str], dict[str, t.Any]]:
    """``peek(token)``: a token's claims, unverified."""
    return peek


@pytest.fixture(name="challenge_claims")
def _challenge_claims() -> cabc.Callable[[str], dict[str, t.Any]]:
    """``challenge_claims(header)``: the claims in a ``WWW-Authenticate`` header."""
    return challenge_claims
