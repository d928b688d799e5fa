"""Every switch that an administrator or a user flips, seen by MSAL over the wire."""

from __future__ import annotations

import json
import time
import typing as t

import pytest
import requests

from flask_msal_errors.testing import Emulator

Claims = t.Callable[[str], dict[str, t.Any]]
C1 = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
NBF = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'


class TestMfa:
    def test_refresh(self, entra: Emulator, partner: t.Any) -> None:
        """A refresh without MFA meets 50076 with the policy's id as claims."""
        partner.sign_in()
        entra.require_mfa()
        result = partner.refresh()
        assert (result["error"], result["suberror"]) == (
            "invalid_grant",
            "basic_action",
        )
        assert result["error_codes"] == [50076]
        wanted = json.loads(result["claims"])["access_token"]["polids"]
        assert wanted == {"essential": True, "values": [entra.tenant.mfa[0].id]}

    def test_page(self, entra: Emulator, partner: t.Any, peek: Claims) -> None:
        """Sign-in asks for a second proof, and the tokens say that it was given."""
        entra.require_mfa()
        result = partner.sign_in()
        assert "mfa" in partner.person.pages
        assert result["id_token_claims"]["amr"] == ["pwd", "mfa"]
        assert peek(result["access_token"])["amr"] == ["pwd", "mfa"]
        assert "access_token" in partner.refresh()

    def test_claims_of_the_refusal(self, entra: Emulator, partner: t.Any) -> None:
        """The claims of the refusal, sent to authorize, lead to the page."""
        partner.sign_in()
        entra.require_mfa("Mail.Read")
        claims = json.dumps({"access_token": {"polids": {"values": ["x"]}}})
        result = partner.sign_in(partner.person, claims_challenge=claims)
        assert partner.person.pages[-2:] == ["mfa", "form_post"]
        assert result["id_token_claims"]["amr"] == ["pwd", "mfa"]

    @pytest.mark.parametrize(
        ("scope", "user", "fails"),
        [
            ("Profile.Read", None, True),
            ("Mail.Read", None, False),
            (None, "ada", True),
            (None, "grace", False),
        ],
    )
    def test_reach(
        self,
        entra: Emulator,
        partner: t.Any,
        scope: str | None,
        user: str | None,
        fails: bool,
    ) -> None:
        """A policy reaches its scope and its user, nothing else."""
        partner.sign_in()
        entra.require_mfa(scope, user and entra.users[user])
        assert ("error" in partner.refresh()) is fails

    def test_step_up_counts(self, entra: Emulator, partner: t.Any) -> None:
        """Who proved an authentication context has done MFA."""
        partner.sign_in(claims_challenge=C1)
        entra.require_mfa()
        assert "access_token" in partner.refresh()


class TestContext:
    def test_step_up(self, entra: Emulator, partner: t.Any, peek: Claims) -> None:
        """The demanded context stands in both tokens after its page."""
        result = partner.sign_in("ada", "Payroll.Read", claims_challenge=C1)
        assert "context" in partner.person.pages
        assert peek(result["access_token"])["acrs"] == ["c1"]
        assert result["id_token_claims"]["acrs"] == ["c1"]
        assert partner.call("/payroll", result["access_token"]).json() == {
            "employee": "Ada Lovelace",
            "salary": 4200,
            "currency": "EUR",
        }

    def test_silent(self, partner: t.Any) -> None:
        """Nobody can step up silently: 50076, without claims of its own."""
        partner.sign_in("ada", "Payroll.Read")
        result = partner.refresh("Payroll.Read", claims=C1)
        assert result["error_codes"] == [50076]
        assert "claims" not in result

    def test_id_token_context(self, entra: Emulator) -> None:
        """A context that is asked for in the ID token is proved as well."""
        person = entra.person()
        claims = '{"id_token":{"acrs":{"values":["c2"]}}}'
        person.authorize(authorize_url(entra, claims=claims))
        assert "context" in person.pages

    def test_kept_for_refresh(self, partner: t.Any, peek: Claims) -> None:
        """A refresh keeps the context that its sign-in proved."""
        partner.sign_in("ada", "Payroll.Read", claims_challenge=C1)
        assert peek(partner.refresh("Payroll.Read")["access_token"])["acrs"] == ["c1"]

    def test_require_context(self, entra: Emulator, partner: t.Any) -> None:
        """A path or a scope can demand a context, and no longer."""
        token = partner.sign_in("ada", "Mail.Read")["access_token"]
        for place in ("/mail", "Mail.Read", entra.scope("Mail.Read")):
            entra.require_context(place, "c2")
            assert partner.call("/mail", token).status_code == 401
            entra.require_context(place, None)
            assert partner.call("/mail", token).status_code == 200

    def test_clear_policies(self, entra: Emulator, partner: t.Any) -> None:
        """All policies go, and payroll demands c1 again."""
        partner.sign_in()
        entra.require_mfa()
        entra.block()
        entra.require_context("/payroll", None)
        entra.clear_policies()
        assert entra.tenant.contexts == {"/payroll": "c1"}
        assert "access_token" in partner.refresh()


class TestBlock:
    def test_refresh(self, entra: Emulator, partner: t.Any) -> None:
        """A blocked refresh meets 53003, message_only, with capolids."""
        partner.sign_in()
        entra.block("Profile.Read")
        result = partner.refresh()
        assert (result["error"], result["suberror"]) == (
            "invalid_grant",
            "message_only",
        )
        assert result["error_codes"] == [53003]
        assert result["error_uri"].endswith("/error?code=53003")
        wanted = json.loads(result["claims"])["access_token"]["capolids"]
        assert wanted["values"] == [entra.tenant.blocks[0].id]

    def test_page(self, entra: Emulator, partner: t.Any) -> None:
        """At sign-in a page says so, and the app hears nothing."""
        entra.block()
        with pytest.raises(RuntimeError, match="'blocked'"):
            partner.sign_in()

    def test_redirect(self, entra: Emulator, partner: t.Any) -> None:
        """With ``redirect`` the app hears access_denied."""
        entra.block(redirect=True)
        result = partner.sign_in()
        assert result["error"] == "access_denied"
        assert result["error_description"].startswith("AADSTS53003: ")


class TestUser:
    def test_frequency(self, entra: Emulator, partner: t.Any) -> None:
        """An old sign-in meets 70043, and needs a new one in spite of SSO."""
        partner.sign_in()
        entra.expire_frequency("ada")
        result = partner.refresh()
        assert (result["error"], result["suberror"]) == (
            "invalid_grant",
            "token_expired",
        )
        assert result["error_codes"] == [70043]
        assert not {"error_uri", "claims"} & set(result)
        partner.person.pages.clear()
        assert "access_token" in partner.sign_in(partner.person)
        assert "pick" in partner.person.pages
        assert "access_token" in partner.refresh()

    def test_revoke(self, entra: Emulator, partner: t.Any) -> None:
        """Revoked: the API refuses at once, refresh meets 50173, sign-in heals."""
        token = partner.sign_in()["access_token"]
        assert partner.call("/me", token).status_code == 200
        entra.revoke("ada")
        assert partner.call("/me", token).status_code == 401
        result = partner.refresh(claims=NBF)
        assert (result["error"], result["suberror"]) == ("invalid_grant", "bad_token")
        assert result["error_codes"] == [50173]
        assert result["error_uri"].endswith("/error?code=50173")
        again = partner.sign_in(partner.person)["access_token"]
        assert partner.call("/me", again).status_code == 200
        assert partner.call("/me", token).status_code == 401

    def test_revoke_one(self, entra: Emulator, make_partner: t.Any) -> None:
        """Revoking one user leaves the others alone."""
        ada, grace = make_partner(), make_partner()
        ada.sign_in()
        grace.sign_in("grace")
        entra.revoke(entra.users["grace"])
        assert "access_token" in ada.refresh()
        assert "error" in grace.refresh()

    def test_change_ip(
        self,
        entra: Emulator,
        partner: t.Any,
        peek: Claims,
        challenge_claims: Claims,
    ) -> None:
        """After a move, the API's claims bring a token silently; a plain refresh not."""
        token = partner.sign_in()["access_token"]
        entra.change_ip("ada")
        refused = partner.call("/me", token)
        assert refused.status_code == 401
        claims = challenge_claims(refused.headers["WWW-Authenticate"])
        address = claims["access_token"]["xms_rp_ipaddr"]["value"]
        assert address == entra.users["ada"].address == "203.0.113.11"
        plain = partner.refresh()["access_token"]
        assert partner.call("/me", plain).status_code == 401
        moved = partner.refresh(claims=json.dumps(claims))["access_token"]
        assert peek(moved)["ipaddr"] == address
        assert partner.call("/me", moved).status_code == 200

    def test_change_ip_wraps(self, entra: Emulator) -> None:
        """However often a user moves, the address is one."""
        seen = set()
        for _ in range(300):
            entra.change_ip("ada")
            seen.add(int(entra.users["ada"].address.rpartition(".")[2]))
        assert seen == set(range(1, 255))

    def test_expire_password(self, entra: Emulator, partner: t.Any) -> None:
        """50055 with the address to change it; at sign-in a page, once."""
        partner.sign_in()
        entra.expire_password("ada")
        result = partner.refresh()
        assert result["error"] == result["suberror"] == "user_password_expired"
        assert result["error_codes"] == [50055]
        assert result["password_change_url"].startswith("https://")
        assert "access_token" in partner.sign_in(partner.person)
        assert "password" in partner.person.pages
        assert "access_token" in partner.refresh()

    @pytest.mark.parametrize("scope", [None, "Profile.Read", "full"])
    def test_withdraw_consent(
        self, entra: Emulator, partner: t.Any, scope: str | None
    ) -> None:
        """65001 with consent_required, until the person consents again."""
        partner.sign_in()
        full = entra.scope("Profile.Read")
        entra.withdraw_consent("ada", full if scope == "full" else scope)
        result = partner.refresh()
        assert (result["error"], result["suberror"]) == (
            "invalid_grant",
            "consent_required",
        )
        assert result["error_codes"] == [65001]
        assert not {"error_uri", "claims"} & set(result)
        partner.person.pages.clear()
        partner.sign_in(partner.person)
        assert partner.person.pages == ["consent", "form_post"]

    def test_unknown_user(self, entra: Emulator) -> None:
        """A user that does not exist is a ``KeyError``."""
        with pytest.raises(KeyError):
            entra.revoke("nobody")


class TestSettings:
    def test_lifetime(self, entra: Emulator, partner: t.Any, peek: Claims) -> None:
        """Lifetime and ``refresh_in`` are as they were set."""
        entra.token_lifetime = 120
        entra.refresh_in = 60
        token = partner.sign_in()["access_token"]
        claims = peek(token)
        assert claims["exp"] - claims["iat"] == 120
        body = partner.post_refresh(self.refresh_token(partner)).json()
        assert (body["expires_in"], body["refresh_in"]) == (119, 60)

    @staticmethod
    def refresh_token(partner: t.Any) -> str:
        tokens = partner.msal.token_cache.search("RefreshToken")
        return str(next(iter(tokens))["secret"])

    def test_expired_token(self, entra: Emulator, partner: t.Any) -> None:
        """The API refuses a token whose time is over, without claims."""
        entra.token_lifetime = 0
        token = partner.sign_in()["access_token"]
        refused = partner.call("/me", token)
        assert refused.status_code == 401
        assert "claims" not in refused.headers["WWW-Authenticate"]

    def test_clock_skew(self, entra: Emulator, partner: t.Any) -> None:
        """Entra's clock runs ahead of ours; its own API goes by it."""
        entra.clock_skew = 100
        result = partner.sign_in()
        claims = result["id_token_claims"]
        assert 90 < claims["iat"] - time.time() <= 100
        assert claims["auth_time"] - time.time() > 90
        assert partner.call("/me", result["access_token"]).status_code == 200

    def test_one_time_refresh_tokens(self, entra: Emulator, partner: t.Any) -> None:
        """A refresh token used twice meets 70008, if so set; a refused one is unused."""
        partner.sign_in()
        token = self.refresh_token(partner)
        assert partner.post_refresh(token).ok
        entra.one_time_refresh_tokens = True
        refused = partner.post_refresh(token)
        assert refused.json()["error_codes"] == [70008]
        fresh = partner.sign_in(partner.person)
        assert "access_token" in fresh
        token = self.refresh_token(partner)
        entra.block()
        assert partner.post_refresh(token).json()["error_codes"] == [53003]
        entra.clear_policies()
        assert partner.post_refresh(token).ok
        assert partner.post_refresh(token).json()["error_codes"] == [70008]

    def test_header_form(self, entra: Emulator) -> None:
        """Only the forms that are known can be set."""
        with pytest.raises(ValueError, match="graph_live, graph_pop_bearer"):
            entra.header_form = "nonsense"
        assert entra.header_form == "graph_live"

    def test_scope(self, entra: Emulator) -> None:
        """A short name gets the API's resource; a full one stays."""
        full = f"{entra.api_resource}/Mail.Read"
        assert entra.scope("Mail.Read") == entra.scope(full) == full

    def test_secret_rotated(self, entra: Emulator, make_partner: t.Any) -> None:
        """The old secret meets 7000215, the new one works."""
        old = make_partner()
        new = entra.secret_rotated()
        result = old.sign_in()
        assert result["error"] == "invalid_client"
        assert result["error_codes"] == [7000215]
        assert new == entra.client_secret
        assert "access_token" in make_partner().sign_in()


class TestKeys:
    def kids(self, entra: Emulator) -> list[str]:
        url = f"{entra.authority}/discovery/v2.0/keys"
        keys = requests.get(url, verify=entra.ca_file, timeout=10).json()["keys"]
        return [key["kid"] for key in keys]

    def test_keep_old(self, entra: Emulator, partner: t.Any) -> None:
        """A new key signs, and tokens of the old one stay good."""
        token = partner.sign_in()["access_token"]
        before = self.kids(entra)
        entra.rotate_keys()
        after = self.kids(entra)
        assert after[:-1] == before
        assert after[-1] not in before
        assert partner.call("/me", token).status_code == 200
        assert partner.call("/me", partner.refresh()["access_token"]).ok

    def test_drop_old(self, entra: Emulator, partner: t.Any) -> None:
        """An emergency rotation: the old key is gone, and so are its tokens."""
        token = partner.sign_in()["access_token"]
        before = self.kids(entra)
        entra.rotate_keys(keep_old=False)
        assert not set(before) & set(self.kids(entra))
        refused = partner.call("/me", token)
        assert refused.status_code == 401


def authorize_url(entra: Emulator, **params: str) -> str:
    """An authorize request written by hand."""
    own = {
        "client_id": entra.client_id,
        "response_type": "code",
        "redirect_uri": "http://localhost/callback",
        "scope": "openid",
    }
    request = requests.Request(
        url=f"{entra.pages_url}/{entra.tenant_id}/oauth2/v2.0/authorize",
        method="GET",
        params={**own, **params},
    )
    return str(request.prepare().url)
