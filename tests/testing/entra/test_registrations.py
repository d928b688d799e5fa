"""Several app registrations in one tenant, and MSAL as the client of each."""

from __future__ import annotations

import typing as t

import flask
import jwt
import msal
import pytest
import requests

from flask_msal_errors.api import ApiAuth
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra.model import GRAPH
from support.middle_tier import MiddleTier
from support.middle_tier import claims_of
from support.waiting import PATIENCE


class TestRegister:
    def test_facts(self, entra: Emulator) -> None:
        """A registration has its own ids and secret, the same ones each time."""
        first = entra.register("payroll", scopes=["Read"])
        again = entra.register("payroll", scopes=["Read", "Write"])
        assert first.client_id == again.client_id != entra.client_id
        assert first.client_secret == again.client_secret != entra.client_secret
        assert first.id_uri == f"api://{first.client_id}"
        assert again.scope("Write") == entra.scope("payroll/Write")
        assert list(entra.registrations) == ["app", "api", "graph", "payroll"]
        entra.reset()
        assert "payroll" not in entra.registrations

    def test_permissions_by_name(self, entra: Emulator) -> None:
        """A permission names its API, by name or in full; Graph's need no prefix."""
        archive = entra.register("archive", scopes=["Files.Read"])
        made = entra.register(
            "payroll",
            permissions=["archive/Files.Read", "user.read", archive.scope("x")],
        )
        assert made.permissions == (
            archive.scope("Files.Read"),
            f"{GRAPH}/User.Read",
            archive.scope("x"),
        )

    @pytest.mark.parametrize(
        ("facts", "words"),
        [
            ({"name": "Pay roll"}, "no name"),
            ({"name": "api"}, "neither api"),
            ({"scopes": ["a b"]}, "no short name"),
            ({"app_roles": ["x/y"]}, "no short name"),
            ({"token_version": 3}, "from 1 to 2"),
            ({"id_uri": "payroll"}, "no Application ID URI"),
            ({"id_uri": "api://payroll/"}, "no Application ID URI"),
            ({"id_uri": GRAPH}, "the URI of graph"),
            ({"optional_claims": ["upn"]}, "not upn"),
        ],
    )
    def test_values(self, entra: Emulator, facts: dict[str, t.Any], words: str) -> None:
        """A value that Entra would not take is refused with the reason."""
        with pytest.raises(ValueError, match=words):
            entra.register(**{"name": "payroll", **facts})

    def test_unknown_api(self, entra: Emulator) -> None:
        """A permission of an API that is not there says which are."""
        with pytest.raises(LookupError, match="app, api, graph"):
            entra.register("payroll", permissions=["archive/Read"])
        with pytest.raises(LookupError, match="no registration 'payroll'"):
            entra.config_for("payroll")

    def test_of_the_emulator(self) -> None:
        """Registrations of the constructor outlast a reset, with their secrets."""
        facts = {"scopes": ("Read",), "permissions": ("User.Read",)}
        with Emulator(registrations={"payroll": facts}) as entra:
            secret = entra.registrations["payroll"].client_secret
            entra.register("daemon")
            entra.reset()
            assert entra.registrations["payroll"].client_secret == secret
            assert "daemon" not in entra.registrations


class TestClients:
    def test_each_has_its_secret(self, tier: MiddleTier) -> None:
        """One client's secret is not another's."""
        tier.api.client_secret = "another"
        result = tier.exchange(tier.token())
        assert "access_token" in result
        refused = tier.exchange(tier.token(), client_credential="wrong")
        assert refused["error_codes"] == [7000215]

    @pytest.mark.parametrize("name", ["api", "graph"])
    def test_own_apis_are_no_clients(
        self, entra: Emulator, http: requests.Session, name: str
    ) -> None:
        """Nobody signs in, or gets tokens, as the emulator's API or Graph."""
        held = entra.registrations[name]
        url = f"{entra.authority}/oauth2/v2.0/token"
        form = {"client_id": held.client_id, "client_secret": held.client_secret}
        assert http.post(url, data=form).json()["error_codes"] == [700016]

    def test_grants_are_bound_to_their_client(self, tier: MiddleTier) -> None:
        """A refresh token works for the client that got it, and for no other."""
        held = tier.sign_in()["refresh_token"]
        scopes = [tier.api.scope("access_as_user")]
        assert "access_token" in tier.app.acquire_token_by_refresh_token(held, scopes)
        other = tier.msal_of(tier.api)
        refused = other.acquire_token_by_refresh_token(held, scopes)
        assert (refused["error"], refused["error_codes"]) == ("invalid_grant", [70000])

    def test_another_web_app(self, tier: MiddleTier) -> None:
        """People sign in to a second web app; its ID tokens are for itself."""
        desk = tier.entra.register("desk")
        result = tier.sign_in(client=tier.msal_of(desk))
        assert result["id_token_claims"]["aud"] == desk.client_id
        assert claims_of(result)["azp"] == desk.client_id


class TestTokens:
    @pytest.mark.parametrize("version", [1, 2])
    def test_version(self, entra: Emulator, version: int) -> None:
        """An API gets tokens of the version that it accepts, with its own claims."""
        tier = MiddleTier(entra, token_version=version)
        claims = claims_of(tier.sign_in())
        first = version == 1
        issuer = f"https://sts.windows.net/{entra.tenant_id}/"
        assert claims["iss"] == (issuer if first else entra.issuer)
        assert claims["aud"] == (tier.api.id_uri if first else tier.api.client_id)
        assert claims["appid" if first else "azp"] == entra.client_id
        assert ("upn" in claims, "preferred_username" in claims) == (first, not first)
        assert ("amr" in claims, "ipaddr" in claims) == (first, first)
        assert claims["ver"] == f"{version}.0"
        assert not {"sid", "xms_cc", "idtyp"} & set(claims)

    def test_optional_claims(self, entra: Emulator) -> None:
        """An API that asks for optional claims gets them."""
        tier = MiddleTier(entra, optional_claims=["sid", "ipaddr", "xms_cc"])
        claims = claims_of(tier.sign_in())
        assert claims["ipaddr"] == entra.users["ada"].address and claims["sid"]
        assert claims["xms_cc"] == ["cp1"]

    def test_roles(self, tier: MiddleTier) -> None:
        """A user's roles are those at the API that the token is for."""
        tier.entra.give_role("ada", "Approver")
        tier.entra.give_role("ada", "Clerk", app="payroll")
        result = tier.sign_in()
        assert claims_of(result)["roles"] == ["Clerk"]
        assert result["id_token_claims"]["roles"] == ["Approver"]
        tier.entra.take_role("ada", "Clerk", app="payroll")
        assert "roles" not in claims_of(tier.sign_in())

    def test_subjects(self, tier: MiddleTier) -> None:
        """The subject of a user differs from API to API, the object id does not."""
        api = claims_of(tier.sign_in())
        archive = claims_of(tier.exchange(tier.token()))
        assert api["oid"] == archive["oid"] and api["sub"] != archive["sub"]
        header = jwt.get_unverified_header(tier.token())
        assert header["kid"] == tier.entra.tenant.keys.current.kid


@pytest.mark.parametrize("version", [1, 2])
class TestEndToEnd:
    """An API of ``ApiAuth``, a user's token and an app's, over real sockets."""

    @pytest.fixture
    def tier(self, entra: Emulator, version: int) -> MiddleTier:
        facts = {"token_version": version, "app_roles": ["Jobs"]}
        return MiddleTier(entra, **facts)

    def ask(self, tier: MiddleTier, token: str) -> requests.Response:
        """Call the API with a token."""
        app = flask.Flask("payroll")
        app.config.update(tier.entra.config_for("payroll"))
        api = ApiAuth(app)

        @app.get("/")
        @api.token_required(scopes=["access_as_user"], app_roles=["Jobs"])
        def view() -> dict[str, t.Any]:
            caller = api.caller
            return {"is_app": caller.is_app, "by": caller.client_id}

        with tier.entra.serve(app) as url:
            headers = {"Authorization": f"Bearer {token}"}
            return requests.get(url, headers=headers, timeout=PATIENCE)

    def test_user(self, tier: MiddleTier) -> None:
        """A token of a sign-in is let in, in the version that the API accepts."""
        answer = self.ask(tier, tier.token())
        assert answer.json() == {"is_app": False, "by": tier.entra.client_id}

    def test_app(self, tier: MiddleTier) -> None:
        """An app with the role is let in, one without is not."""
        scopes = [tier.api.scope(".default")]
        daemon = tier.entra.register("daemon", app_permissions=["payroll/Jobs"])
        held = tier.msal_of(daemon).acquire_token_for_client(scopes)["access_token"]
        answer = self.ask(tier, held)
        assert answer.json() == {"is_app": True, "by": daemon.client_id}
        stranger = tier.entra.register("stranger")
        held = tier.msal_of(stranger).acquire_token_for_client(scopes)["access_token"]
        assert self.ask(tier, held).status_code == 403

    def test_other_tokens(self, tier: MiddleTier) -> None:
        """Tokens for another API, and those of the API itself, are refused."""
        for name in ("app", "api", "graph", "archive"):
            token = tier.entra.access_token(registration=name)
            assert self.ask(tier, token).status_code == 401
        result = tier.exchange(tier.token())
        assert self.ask(tier, result["access_token"]).status_code == 401


def test_unlisted_scope(tier: MiddleTier) -> None:
    """A scope that the API does not expose is 650053, an unknown API 500011."""
    for scope, code in ((tier.api.scope("x"), 650053), ("api://unknown/x", 500011)):
        refused = tier.exchange(tier.token(), [scope])
        assert refused["error_codes"] == [code]


def test_client_of_msal(tier: MiddleTier) -> None:
    """The settings of a registration are enough for MSAL."""
    settings = tier.entra.config_for("payroll")
    assert settings["MSAL_API_ID_URI"] == tier.api.id_uri
    assert "MSAL_SCOPES" not in settings
    assert isinstance(tier.msal_of(tier.api), msal.ConfidentialClientApplication)
