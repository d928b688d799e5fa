"""The client credentials flow of the emulator, as MSAL asks for it."""

from __future__ import annotations

import typing as t

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra.model import GRAPH
from support.middle_tier import MiddleTier
from support.middle_tier import claims_of

ROLES = ["Payroll.Read.All", "Payroll.Write.All"]


def asked(
    entra: Emulator, http: requests.Session, scope: str, at: str = ""
) -> requests.Response:
    """The answer to a request of ``daemon``, written by hand."""
    daemon = entra.registrations["daemon"]
    form = {
        "grant_type": "client_credentials",
        "client_id": daemon.client_id,
        "client_secret": daemon.client_secret,
        "scope": scope,
    }
    return http.post(at or f"{entra.authority}/oauth2/v2.0/token", data=form)


@pytest.fixture
def daemon(entra: Emulator) -> MiddleTier:
    """An API with app roles and optional claims, and an app that has one of them."""
    tier = MiddleTier(entra, app_roles=ROLES, optional_claims=["idtyp"])
    entra.register("daemon", app_permissions=["payroll/Payroll.Read.All"])
    return tier


class TestTokens:
    @pytest.mark.parametrize("version", [1, 2])
    def test_claims(self, entra: Emulator, version: int) -> None:
        """The token is of the app: its roles, no user, no scopes."""
        tier = MiddleTier(entra, app_roles=ROLES, token_version=version)
        entra.register("daemon", app_permissions=[tier.api.scope(ROLES[0])])
        app = tier.msal_of("daemon")
        result = app.acquire_token_for_client([tier.api.scope(".default")])
        claims = claims_of(result)
        first = version == 1
        assert claims["roles"] == ["Payroll.Read.All"]
        assert claims["aud"] == (tier.api.id_uri if first else tier.api.client_id)
        daemon = entra.registrations["daemon"].client_id
        assert claims["appid" if first else "azp"] == daemon
        assert claims["oid"] == claims["sub"] != daemon
        user = {"scp", "name", "upn", "preferred_username", "sid", "ipaddr", "idtyp"}
        assert not user & set(claims)

    def test_type_of_token(self, daemon: MiddleTier) -> None:
        """An API that lists the optional claim learns that the token is an app's."""
        app = daemon.msal_of("daemon")
        result = app.acquire_token_for_client([daemon.api.scope(".default")])
        assert claims_of(result)["idtyp"] == "app"
        made = daemon.entra.access_token(None, registration="payroll", client="daemon")
        same = claims_of({"access_token": made})
        varying = ("iat", "nbf", "exp", "uti")
        assert {n: v for n, v in same.items() if n not in varying} == {
            n: v for n, v in claims_of(result).items() if n not in varying
        }
        person = daemon.entra.access_token("ada", registration="payroll")
        assert "idtyp" not in claims_of({"access_token": person})

    def test_without_roles(self, daemon: MiddleTier) -> None:
        """An app that was given no role gets a token, as at Entra, without any."""
        daemon.entra.register("stranger")
        app = daemon.msal_of("stranger")
        result = app.acquire_token_for_client([daemon.api.scope(".default")])
        assert "roles" not in claims_of(result)

    def test_members(
        self, daemon: MiddleTier, entra: Emulator, http: requests.Session
    ) -> None:
        """Nothing comes to refresh it, and no scope or ID token."""
        answer = asked(entra, http, daemon.api.scope(".default"))
        names = ["access_token", "expires_in", "ext_expires_in", "token_type"]
        assert sorted(answer.json()) == names
        assert answer.headers["Cache-Control"] == "no-store, no-cache"

    def test_not_on_behalf_of(self, daemon: MiddleTier) -> None:
        """The token of an app cannot be exchanged."""
        app = daemon.msal_of("daemon")
        result = app.acquire_token_for_client([daemon.api.scope(".default")])
        refused = daemon.exchange(result["access_token"])
        assert refused["error_codes"] == [7000114]


@pytest.mark.parametrize(
    ("scope", "code", "error"),
    [
        ("", 90014, "invalid_request"),
        ("{api}/Payroll.Read.All", 1002012, "invalid_scope"),
        ("User.Read", 1002012, "invalid_scope"),
        (".default", 1002012, "invalid_scope"),
        ("openid", 1002012, "invalid_scope"),
        ("{api}/.default offline_access", 70011, "invalid_scope"),
        (f"{{api}}/.default {GRAPH}/.default", 70011, "invalid_scope"),
        ("api://unknown/.default", 500011, "invalid_resource"),
    ],
)
def test_scopes(
    daemon: MiddleTier, http: requests.Session, scope: str, code: int, error: str
) -> None:
    """An app asks for ``.default`` of one API, and for nothing else."""
    wanted = scope.format(api=daemon.api.id_uri)
    body = asked(daemon.entra, http, wanted).json()
    assert (body["error_codes"], body["error"]) == ([code], error)


def test_ways_to_name_the_api(daemon: MiddleTier, http: requests.Session) -> None:
    """An API is named by its URI or its client id, in any case."""
    api = daemon.api
    for name in (api.id_uri, api.client_id, api.id_uri.upper(), GRAPH):
        assert asked(daemon.entra, http, f"{name}/.default").ok


@pytest.mark.parametrize("kind", ["b2c", "openid"])
def test_other_authorities(
    daemon: MiddleTier, http: requests.Session, kind: str
) -> None:
    """A user flow, or the plain provider, has no such flow."""
    entra = daemon.entra
    entra.openid_client_auth = "post"
    settings = entra.config(kind)
    at = {
        "b2c": f"{settings.get('MSAL_AUTHORITY')}/oauth2/v2.0",
        "openid": settings.get("MSAL_OIDC_AUTHORITY"),
    }[kind]
    body = asked(entra, http, daemon.api.scope(".default"), f"{at}/token").json()
    assert body["error"] == "unsupported_grant_type"
    assert ("AADB2C90086" in body["error_description"]) is (kind == "b2c")


def test_unknown_role(entra: Emulator) -> None:
    """An app role that the API does not have cannot be given."""
    entra.register("payroll", app_roles=["Read"])
    with pytest.raises(LookupError, match="no app role of payroll: Read"):
        entra.register("daemon", app_permissions=["payroll/Write"])
    made: t.Any = entra.register("daemon", app_permissions=["User.Read.All"])
    assert made.app_permissions == (f"{GRAPH}/User.Read.All",)
