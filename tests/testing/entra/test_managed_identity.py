"""The emulator's metadata endpoints, and whose assertions it accepts."""

from __future__ import annotations

import typing as t

import jwt
import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra import managed_identity
from support.msal_client import MsalClient

Place: t.TypeAlias = tuple[str, dict[str, str]]

AUDIENCE = "api://AzureADTokenExchange"


@pytest.fixture(params=["app_service", "vm"])
def place(request: pytest.FixtureRequest, entra: Emulator) -> Place:
    """An endpoint's URL, and the headers that it wants."""
    found = entra.managed_environment(request.param)
    if request.param == "vm":
        base = found["AZURE_POD_IDENTITY_AUTHORITY_HOST"]
        return f"{base}/metadata/identity/oauth2/token", {"Metadata": "true"}
    header = {"X-IDENTITY-HEADER": found["IDENTITY_HEADER"]}
    return found["IDENTITY_ENDPOINT"], header


def assertion(entra: Emulator, **changes: t.Any) -> str:
    now = int(entra.tenant.now())
    claims = {
        "aud": AUDIENCE,
        "iss": entra.issuer,
        "sub": managed_identity.IDENTITY,
        "exp": now + 600,
    }
    key = entra.tenant.keys.current
    claims.update(changes)
    return jwt.encode(claims, key.private, "RS256", headers={"kid": key.kid})


class TestEndpoint:
    def test_token(self, http: requests.Session, place: Place) -> None:
        """The token is for the federated credential, and says when it ends."""
        url, headers = place
        body = http.get(url, params={"resource": AUDIENCE}, headers=headers).json()
        assert {"expires_on", "expires_in"} & set(body)
        claims = jwt.decode(body["access_token"], options={"verify_signature": False})
        assert claims["aud"] == AUDIENCE and claims["exp"] > claims["iat"]

    def test_header(self, http: requests.Session, place: Place) -> None:
        """Without its header nothing is said: a forwarded request has none."""
        url, _ = place
        reply = http.get(url, params={"resource": AUDIENCE})
        assert reply.status_code in (400, 401) and "access_token" not in reply.json()

    @pytest.mark.parametrize("resource", ["https://graph.microsoft.com", ""])
    def test_resource(
        self, http: requests.Session, place: Place, resource: str
    ) -> None:
        """For another resource, and for a host without identity, there is none."""
        url, headers = place
        reply = http.get(url, params={"resource": resource}, headers=headers)
        assert reply.status_code == 400

    def test_switched_off(
        self, entra: Emulator, http: requests.Session, place: Place
    ) -> None:
        """A host may have no identity."""
        entra.managed_identity = False
        url, headers = place
        reply = http.get(url, params={"resource": AUDIENCE}, headers=headers)
        assert reply.status_code == 400

    def test_unknown_place(self, entra: Emulator) -> None:
        """Only two kinds of host are played."""
        with pytest.raises(ValueError, match="app_service or vm"):
            entra.managed_environment("arc")


class TestAccepted:
    def sent(self, client: MsalClient, assertion: str) -> t.Any:
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return client.http.post(
            f"{client.entra.authority}/oauth2/v2.0/token",
            data={
                "client_id": client.entra.client_id,
                "client_assertion_type": kind,
                "client_assertion": assertion,
                "grant_type": "refresh_token",
                "refresh_token": "x",
            },
        ).json()["error_codes"]

    def test_the_identitys(self, client: MsalClient, place: Place) -> None:
        """The endpoint's token proves the app, which lacks a refresh token only."""
        url, headers = place
        body = client.http.get(url, params={"resource": AUDIENCE}, headers=headers)
        assert self.sent(client, body.json()["access_token"]) == [9002313]

    @pytest.mark.parametrize(
        "changes",
        [
            {"sub": "another"},
            {"aud": "api://other"},
            {"iss": "https://evil.example"},
            {"exp": 1},
        ],
    )
    def test_others(self, client: MsalClient, changes: dict[str, t.Any]) -> None:
        """A token of the tenant, but not of that identity, proves nothing."""
        assert self.sent(client, assertion(client.entra)) == [9002313]
        assert self.sent(client, assertion(client.entra, **changes)) == [50013]
