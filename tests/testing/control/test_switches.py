"""Every switch, seen from MSAL and from the API."""

from __future__ import annotations

import base64
import concurrent.futures
import email.utils
import json
import threading
import time
import typing as t

import jwt
import pytest
from flask import Request

from flask_msal_errors.testing import Emulator
from support.msal_client import MsalClient
from support.waiting import PATIENCE


def claims_of(header: str) -> dict[str, t.Any]:
    """Decode a challenge's claims, padded or not."""
    text = header.partition('claims="')[2].partition('"')[0]
    claims: dict[str, t.Any] = json.loads(
        base64.b64decode(text + "=" * (-len(text) % 4))
    )
    return claims


class TestPolicies:
    @pytest.mark.parametrize("scope", ["Mail.Read", None])
    def test_mfa(self, client: MsalClient, scope: str | None) -> None:
        """A refresh meets 50076 with the policy's claims; with them, MFA is asked."""
        client.sign_in("Mail.Read")
        client.entra.require_mfa(scope)
        error = client.silent("Mail.Read")
        assert (error["error"], error["suberror"]) == ("invalid_grant", "basic_action")
        assert error["error_codes"] == [50076]
        assert "polids" in json.loads(error["claims"])["access_token"]
        client.person.pages.clear()
        client.sign_in("Mail.Read", claims_challenge=error["claims"])
        assert client.person.pages == ["mfa", "form_post"]
        assert "access_token" in client.silent("Mail.Read")

    def test_device(self, client: MsalClient) -> None:
        """A refresh meets 53000 with claims; with them, the person enrols a device."""
        client.sign_in("Mail.Read")
        client.entra.require_device("Mail.Read")
        error = client.silent("Mail.Read")
        assert (error["error_codes"], error["suberror"]) == (
            *([53000], "additional_action"),
        )
        params = client.authorize(prompt="none", scope=client.scopes("Mail.Read")[0])
        assert params.params["error"] == "interaction_required"
        client.person.pages.clear()
        client.sign_in("Mail.Read", claims_challenge=error["claims"])
        assert client.person.pages == ["device", "form_post"]
        assert "access_token" in client.silent("Mail.Read")

    def test_second_factor(self, client: MsalClient) -> None:
        """Without a second factor, MFA is refused with 50079 until it is set up."""
        client.sign_in("Mail.Read")
        client.entra.require_mfa()
        client.entra.remove_second_factor("ada")
        assert client.silent("Mail.Read")["error_codes"] == [50079]
        client.sign_in("Mail.Read")
        assert "access_token" in client.silent("Mail.Read")

    def test_mfa_spares_other_scopes_and_users(self, client: MsalClient) -> None:
        """A policy for one scope, or for another user, lets the rest pass."""
        client.sign_in("Profile.Read")
        client.entra.require_mfa(client.entra.scope("Mail.Read"))
        client.entra.require_mfa(user="grace")
        assert "access_token" in client.silent("Profile.Read")

    def test_block(self, client: MsalClient) -> None:
        """53003 is message_only with capolids; sign-in ends on a page."""
        client.sign_in("Mail.Read")
        client.entra.block("Mail.Read")
        error = client.silent("Mail.Read")
        assert (error["error"], error["suberror"]) == ("invalid_grant", "message_only")
        assert "capolids" in json.loads(error["claims"])["access_token"]
        with pytest.raises(RuntimeError, match="blocked"):
            client.sign_in("Mail.Read")

    def test_block_with_a_way_back(self, client: MsalClient) -> None:
        """With ``redirect`` the app is told."""
        client.entra.block(redirect=True)
        params = client.authorize().params
        assert params["error"] == "access_denied"
        assert params["suberror"] == "message_only"

    def test_clear_policies(self, client: MsalClient) -> None:
        """Clearing the policies lets everything pass again."""
        client.sign_in("Mail.Read")
        client.entra.block()
        client.entra.require_mfa()
        client.entra.clear_policies()
        assert "access_token" in client.silent("Mail.Read")

    def test_contexts_of_the_api(self, client: MsalClient, context_claims: str) -> None:
        """Payroll demands c1 in the documented header, until the token has it."""
        result = client.sign_in("Payroll.Read")
        refused = client.call("/payroll", result)
        header = refused.headers["WWW-Authenticate"]
        assert refused.status_code == 401
        assert 'error="insufficient_claims"' in header
        assert header.endswith('cc_type="authcontext"')
        assert claims_of(header) == json.loads(context_claims)
        error = client.silent("Payroll.Read", claims_challenge=context_claims)
        assert (error["error"], error["error_codes"]) == ("invalid_grant", [50076])
        proved = client.sign_in("Payroll.Read", claims_challenge=context_claims)
        assert client.call("/payroll", proved).json()["salary"]

    def test_context_forms(self, client: MsalClient, context_claims: str) -> None:
        """The API speaks the dialects of RFC 9470 and of a middle tier, too."""
        result = client.sign_in("Payroll.Read")
        client.entra.context_form = "rfc9470"
        refused = client.call("/payroll", result)
        header = refused.headers["WWW-Authenticate"]
        assert refused.status_code == 401
        assert 'error="insufficient_user_authentication"' in header
        assert header.endswith('acr_values="c1"')
        client.entra.context_form = "middle_tier"
        refused = client.call("/payroll", result)
        header = refused.headers["WWW-Authenticate"]
        raw = json.dumps(json.loads(context_claims), separators=(",", ":"))
        assert refused.status_code == 403
        assert f'claims="{raw}"' in header
        with pytest.raises(ValueError, match="context_form is one of"):
            client.entra.context_form = "other"
        client.entra.reset()
        assert client.entra.context_form == "microsoft"

    def test_consent_forms(self, client: MsalClient) -> None:
        """The middle tier asks for consent in two dialects, until it has it."""
        result = client.sign_in("Profile.Read")
        refused = client.call("/team", result)
        header = refused.headers["WWW-Authenticate"]
        assert refused.status_code == 403
        assert 'claims=""' in header and 'proposedAction="consent"' in header
        client.entra.consent_form = "rfc6750"
        header = client.call("/team", result).headers["WWW-Authenticate"]
        every = client.entra.scope(".default")
        assert header == f'Bearer error="insufficient_scope", scope="{every}"'
        # Where there is some consent, only the prompt shows the page.
        assert client.call("/team", client.sign_in(".default")).status_code == 403
        client.sign_in(".default", prompt="consent")
        found = [
            each["displayName"] for each in client.call("/team", result).json()["value"]
        ]
        assert "Grace Hopper" in found and "Ada Lovelace" not in found
        client.entra.withdraw_consent("ada")
        assert client.call("/team", result).status_code == 403

    def test_policies_at_redemption(self, client: MsalClient) -> None:
        """No page asks for MFA: the code is refused, with claims that have one ask."""
        client.entra.policies_at_redemption = True
        client.entra.require_mfa()
        refused = client.sign_in("Profile.Read")
        assert refused["error_codes"] == [50076]
        assert "mfa" not in client.person.pages
        claims = refused["claims"]
        assert json.loads(claims)["access_token"]["polids"]["values"]
        assert client.sign_in("Profile.Read", claims_challenge=claims)["access_token"]
        assert "mfa" in client.person.pages

    def test_require_context(self, client: MsalClient) -> None:
        """A context may be put on a path or a scope, and taken back."""
        result = client.sign_in("Payroll.Read")
        client.entra.require_context("/payroll", None)
        assert client.call("/payroll", result).ok
        client.entra.require_context("Payroll.Read", "c7")
        header = client.call("/payroll", result).headers["WWW-Authenticate"]
        assert claims_of(header)["access_token"]["acrs"]["value"] == "c7"


class TestUsers:
    def test_frequency(self, client: MsalClient) -> None:
        """70043 until the user signs in again."""
        client.sign_in("Mail.Read")
        client.entra.expire_frequency("ada")
        error = client.silent("Mail.Read")
        assert (error["error_codes"], error["suberror"]) == ([70043], "token_expired")
        client.person.pages.clear()
        client.sign_in("Mail.Read")
        assert client.person.pages[0] == "pick"
        assert "access_token" in client.silent("Mail.Read")

    def test_revoke(self, client: MsalClient) -> None:
        """The API challenges, the refresh meets 50173, sign-in asks again."""
        result = client.sign_in("Mail.Read")
        client.entra.revoke("ada")
        refused = client.call("/mail", result)
        claims = claims_of(refused.headers["WWW-Authenticate"])
        assert refused.status_code == 401
        assert claims["access_token"]["nbf"]["essential"] is True
        error = client.silent("Mail.Read", claims_challenge=json.dumps(claims))
        assert (error["error_codes"], error["suberror"]) == ([50173], "bad_token")
        client.person.pages.clear()
        fresh = client.sign_in("Mail.Read", login_hint="ada@contoso.example")
        assert client.person.pages[0] == "pick"
        assert client.call("/mail", fresh).ok

    def test_revoke_between_code_and_redemption(self, client: MsalClient) -> None:
        """A code from before the revocation is void as well."""
        flow = client.begin("Mail.Read")
        answer = client.person.authorize(flow["auth_uri"])
        client.entra.revoke(client.entra.users["ada"])
        result = client.msal.acquire_token_by_auth_code_flow(flow, answer.params)
        assert result["error_codes"] == [50173]

    def test_revoke_without_cp1(self, client: MsalClient) -> None:
        """A client that did not declare CP1 gets no claims."""
        client.msal = client.new_msal(client_capabilities=None)
        result = client.sign_in("Mail.Read")
        client.entra.revoke("ada")
        header = client.call("/mail", result).headers["WWW-Authenticate"]
        assert 'error="invalid_token"' in header
        assert "claims=" not in header

    @pytest.mark.parametrize(
        ("form", "start", "mark"),
        [
            (
                "graph_live",
                'Bearer realm="", authorization_uri=http:',
                "errorDescription",
            ),
            ("graph_pop_bearer", 'PoP realm=""', ', Bearer realm=""'),
            ("graph_doc", 'Bearer authorization_uri="http:', "insufficient_claims"),
            ("arm", 'Bearer authorization_uri="http:', "User session has been revoked"),
        ],
    )
    def test_header_forms(
        self, client: MsalClient, form: str, start: str, mark: str
    ) -> None:
        """The challenge comes in the form that is set, always with claims."""
        result = client.sign_in("Mail.Read")
        client.entra.header_form = form
        client.entra.revoke("ada")
        header = client.call("/mail", result).headers["WWW-Authenticate"]
        assert header.startswith(start)
        assert mark in header
        assert "nbf" in claims_of(header)["access_token"]
        with pytest.raises(ValueError, match="graph_doc"):
            client.entra.header_form = "other"

    def test_change_ip(self, client: MsalClient) -> None:
        """Only a refresh that repeats the claims gets a token the API takes."""
        result = client.sign_in("Mail.Read")
        client.entra.change_ip("ada")
        header = client.call("/mail", result).headers["WWW-Authenticate"]
        text = header.partition('claims="')[2].partition('"')[0]
        claims = claims_of(header)
        assert "Tenant IP Policy validate failed." in header
        assert not text.endswith("=")
        assert claims["access_token"]["xms_rp_ipaddr"]["value"] == "203.0.113.11"
        assert not client.call("/mail", client.silent("Mail.Read")).ok
        fresh = client.silent("Mail.Read", claims_challenge=json.dumps(claims))
        assert client.call("/mail", fresh).ok

    def test_sign_in_after_a_move(self, client: MsalClient) -> None:
        """At sign-in Entra sees the new address itself."""
        client.sign_in("Mail.Read")
        client.entra.change_ip("ada")
        assert client.call("/mail", client.sign_in("Mail.Read")).ok

    def test_password(self, client: MsalClient) -> None:
        """50055 at refresh; at sign-in a page for a new password."""
        client.sign_in("Mail.Read")
        client.entra.expire_password("ada")
        error = client.silent("Mail.Read")
        assert error["error"] == error["suberror"] == "user_password_expired"
        assert error["password_change_url"].startswith("https://")
        client.person.pages.clear()
        client.sign_in("Mail.Read")
        assert client.person.pages == ["password", "form_post"]
        assert "access_token" in client.silent("Mail.Read")

    @pytest.mark.parametrize("scope", ["Mail.Read", None])
    def test_withdrawn_consent(self, client: MsalClient, scope: str | None) -> None:
        """65001 until the person consents again."""
        client.sign_in("Mail.Read")
        client.entra.withdraw_consent("ada", scope)
        error = client.silent("Mail.Read")
        assert (error["error_codes"], error["suberror"]) == (
            [65001],
            "consent_required",
        )
        assert "error_uri" not in error
        client.sign_in("Mail.Read")
        assert client.person.pages.count("consent") == 2
        assert "access_token" in client.silent("Mail.Read")


class TestFaults:
    def test_throttle_in_plain_text(self, client: MsalClient) -> None:
        """Entra's usual 429 is no JSON, so MSAL raises."""
        client.sign_in("Mail.Read")
        begun = time.time()
        client.entra.throttle(30)
        answer = client.token(grant_type="refresh_token")
        assert answer.status_code == 429
        assert answer.text == "Too Many Requests"
        spent = 30 - int(answer.headers["Retry-After"])
        assert 0 <= spent <= time.time() - begun + 1
        with pytest.raises(ValueError, match="Expecting value"):
            client.silent("Mail.Read")
        assert client.entra.counters["token.429"] == 2

    def test_throttle_in_json(self, client: MsalClient) -> None:
        """The JSON variant says temporarily_unavailable; the date form is a date."""
        client.entra.throttle(30, plain=False, retry_after="date")
        answer = client.token(grant_type="refresh_token")
        assert answer.json()["error"] == "temporarily_unavailable"
        assert answer.headers["Retry-After"].endswith("GMT")
        client.entra.throttle(30, retry_after=None)
        assert "Retry-After" not in client.token().headers

    def test_outages_end(
        self, client: MsalClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An outage is over after its seconds."""
        client.entra.throttle(PATIENCE, target="api")
        assert client.call("/busy", {}).status_code == 429
        later = time.time() + PATIENCE
        monkeypatch.setattr(time, "time", lambda: later)
        assert client.call("/busy", {}).status_code == 401

    @pytest.mark.parametrize("target", ["token", "api", "discovery", "jwks"])
    def test_unavailable(self, client: MsalClient, target: str) -> None:
        """503 at any of the four services, with Retry-After if asked."""
        client.entra.unavailable(20, retry_after="seconds", target=target)
        authority = client.entra.authority
        discovery = f"{authority}/v2.0/.well-known/openid-configuration"
        answer = {
            "token": lambda: client.token(),
            "api": lambda: client.call("/me", {}),
            "discovery": lambda: client.http.get(discovery),
            "jwks": lambda: client.http.get(f"{authority}/discovery/v2.0/keys"),
        }[target]()
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "20")

    @pytest.mark.parametrize("drip", [False, True])
    def test_slow(self, client: MsalClient, drip: bool) -> None:
        """A slow answer waits; a dripping one arrives byte by byte, whole."""
        client.entra.slow(2.5 if drip else 0.3, drip=drip)
        start = time.monotonic()
        answer = client.token(grant_type="refresh_token")
        whole, headers = time.monotonic() - start, answer.elapsed.total_seconds()
        assert whole >= (2.5 if drip else 0.3)
        assert answer.json()["error"] == "invalid_grant"
        # All but the first byte come after the headers.
        assert whole - headers > 0.3 or not drip

    def test_broken(self, client: MsalClient) -> None:
        """Status 200 with JSON that breaks off."""
        client.entra.broken()
        answer = client.token(grant_type="refresh_token")
        assert answer.status_code == 200
        with pytest.raises(ValueError, match="Expecting"):
            answer.json()

    def test_loop(self, client: MsalClient) -> None:
        """50196 at every refresh, without suberror."""
        client.sign_in("Mail.Read")
        client.entra.loop()
        error = client.silent("Mail.Read")
        assert (error["error_codes"], error.get("suberror")) == ([50196], None)

    def test_scripted_answers(self, client: MsalClient) -> None:
        """Scripts answer as often as told, with status and headers, in order."""
        entra = client.entra
        entra.fail_next({"error": "invalid_grant", "suberror": "x"}, times=2)
        entra.fail_next({"a": 1}, status=418, headers={"WWW-Authenticate": "Bearer"})
        answers = [client.token() for _ in range(4)]
        assert [a.status_code for a in answers] == [400, 400, 418, 400]
        assert answers[0].json()["correlation_id"]
        assert answers[2].headers["WWW-Authenticate"] == "Bearer"
        assert answers[3].json()["error"] == "unsupported_grant_type"

    def test_scripted_callable(self, client: MsalClient) -> None:
        """A callable sees the request, and may let it through."""
        seen = []
        client.entra.fail_next(lambda request: seen.append(request.path), "api")
        assert client.call("/me", {}).status_code == 401
        assert seen == ["/api/me"]

    @pytest.mark.parametrize("answer", ["token", None, 503])
    def test_script_of_another_type(self, client: MsalClient, answer: t.Any) -> None:
        """A value that is no answer is refused at once, not when a request comes."""
        with pytest.raises(ValueError, match="answer is a JSON object"):
            client.entra.fail_next(answer)

    def test_unknown_target(self, client: MsalClient) -> None:
        """A target that does not exist is named in the error, with those that do."""
        with pytest.raises(ValueError, match="token, api, discovery, jwks"):
            client.entra.broken("tokens")

    def test_clear_faults(self, client: MsalClient) -> None:
        """All weather ends at once."""
        entra = client.entra
        entra.throttle()
        entra.slow(5)
        entra.broken()
        entra.fail_next({})
        entra.loop()
        entra.clear_faults()
        assert client.token().json()["error"] == "unsupported_grant_type"
        assert entra.tenant.faults.active() == []


class TestTokensAndKeys:
    @pytest.mark.parametrize("keep_old", [True, False])
    def test_rotate_keys(self, client: MsalClient, keep_old: bool) -> None:
        """The new key signs; the old stays published if asked."""
        old = client.sign_in("Profile.Read")
        client.entra.rotate_keys(keep_old)
        new = client.sign_in("Profile.Read")
        url = f"{client.entra.authority}/discovery/v2.0/keys"
        published = {key["kid"] for key in client.http.get(url).json()["keys"]}
        kids = [jwt.get_unverified_header(r["id_token"])["kid"] for r in (old, new)]
        assert kids[1] in published
        assert (kids[0] in published) is keep_old
        assert client.call("/me", old).ok is keep_old
        client.entra.rotate_keys(keep_old=False)

    def test_secret_rotated(self, client: MsalClient) -> None:
        """The old secret is 401 invalid_client; the new one works."""
        new = client.entra.secret_rotated()
        refused = client.token(client_secret="old", grant_type="refresh_token")
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        assert refused.json()["error_codes"] == [7000215]
        assert client.token(client_secret=new).json()["error_codes"] == [70003]

    def test_one_time_refresh_tokens(self, client: MsalClient) -> None:
        """A refresh token used twice is refused if each works once only."""
        held = client.sign_in("Profile.Read")["refresh_token"]
        form = {
            "grant_type": "refresh_token",
            "refresh_token": held,
            "scope": f"offline_access {client.entra.scope('Profile.Read')}",
        }
        assert client.token(**form).ok
        assert client.token(**form).ok
        client.entra.one_time_refresh_tokens = True
        assert client.token(**form).json()["error_codes"] == [70008]

    def test_lifetime_refresh_in_and_clock(self, client: MsalClient) -> None:
        """Lifetime, early refresh and a fast clock show in answer and claims."""
        entra = client.entra
        entra.token_lifetime, entra.refresh_in, entra.clock_skew = 600, 60, 100
        result = redeem(client, client.authorize().params["code"])
        claims = jwt.decode(result["access_token"], options={"verify_signature": False})
        assert (result["expires_in"], result["refresh_in"]) == (599, 60)
        assert claims["exp"] - claims["iat"] == 600
        assert 95 < claims["iat"] - time.time() <= 101
        assert client.call("/me", result).ok

    @pytest.mark.parametrize("skew", [0, 900, -900])
    def test_clock_of_answers(self, client: MsalClient, skew: int) -> None:
        """The Date header is Entra's clock, on every port, once."""
        client.entra.clock_skew = skew
        for url in (f"{client.entra.api_url}/me", client.entra.panel_url):
            dates = client.http.get(url).raw.headers.getlist("Date")
            moment = email.utils.parsedate_to_datetime(*dates).timestamp()
            assert abs(moment - time.time() - skew) < 60

    @pytest.mark.parametrize(
        ("options", "alg", "claim"),
        [
            ({"aud": "another"}, "RS256", ("aud", "another")),
            ({"alg": "none"}, "none", None),
            ({"alg": "HS256"}, "HS256", None),
            ({"kid": "unknown", "nonce": "x"}, "RS256", ("nonce", "x")),
            ({"drop": ["auth_time"]}, "RS256", ("auth_time", None)),
        ],
    )
    def test_forge(
        self, client: MsalClient, options: dict[str, t.Any], alg: str, claim: t.Any
    ) -> None:
        """Forged ID tokens carry what the attack needs."""
        client.entra.forge(**options)
        code = client.authorize().params["code"]
        token = redeem(client, code)["id_token"]
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        assert header["alg"] == alg
        assert header["kid"] == options.get("kid", header["kid"])
        if claim:
            assert claims.get(claim[0]) == claim[1]

    def test_id_token_hook(self, client: MsalClient) -> None:
        """A hook may change claims in place, replace them, or make the token."""
        client.entra.id_token_hook = lambda claims, header: claims.pop("sid") and None
        assert "sid" not in client.sign_in("Profile.Read")["id_token_claims"]
        client.entra.id_token_hook = lambda claims, header: "a.b.c"
        code = client.authorize().params["code"]
        assert redeem(client, code)["id_token"] == "a.b.c"

    def test_reset(self, client: MsalClient) -> None:
        """Everything goes back to the start; address and keys stay."""
        entra = client.entra
        result = client.sign_in("Profile.Read")
        kid = entra.tenant.keys.current.kid
        entra.require_mfa()
        entra.throttle()
        entra.token_lifetime = 1
        authority = entra.authority
        entra.reset()
        assert (entra.counters, entra.calls, entra.token_lifetime) == ({}, [], 3600)
        assert client.call("/me", result).status_code == 401
        assert (entra.authority, entra.tenant.keys.current.kid) == (authority, kid)
        assert entra.users["ada"].consents == set()
        client.person.pages.clear()
        client.sign_in("Profile.Read")
        assert client.person.pages[:2] == ["pick", "consent"]


def redeem(client: MsalClient, code: str) -> dict[str, t.Any]:
    """Redeem a code without MSAL, which would look at the ID token."""
    answer: dict[str, t.Any] = client.token(
        grant_type="authorization_code",
        code=code,
        redirect_uri="http://localhost:5000/auth/callback",
    ).json()
    return answer


class TestRecords:
    def test_reset_meanwhile(self, client: MsalClient) -> None:
        """A request that began before a reset is none of those after it."""
        arrived, reset = threading.Event(), threading.Event()

        def wait(request: Request) -> None:
            arrived.set()
            assert reset.wait(PATIENCE)

        client.entra.fail_next(wait, "token")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            late = pool.submit(client.token, grant_type="refresh_token")
            assert arrived.wait(PATIENCE)
            client.entra.reset()
            reset.set()
            assert late.result().status_code == 400
        assert client.entra.counters["token"] == 0
        assert not client.entra.calls
        client.token(grant_type="refresh_token")
        assert client.entra.counters["token"] == 1

    def test_counters_and_calls(self, client: MsalClient) -> None:
        """Requests are counted by kind, status and grant; calls show what was sent."""
        client.sign_in("Mail.Read", login_hint="ada@contoso.example")
        client.silent("Mail.Read")
        counters, calls = client.entra.counters, client.entra.calls
        assert counters["discovery"] == counters["authorize"] == 1
        assert counters["token"] == counters["token.200"] == 2
        assert counters["token.authorization_code"] == 1
        assert counters["token.refresh_token"] == 1
        assert next(c for c in calls if c.kind == "authorize").query["login_hint"]
        assert json.loads(calls[-1].form["claims"])["access_token"]["xms_cc"]

    def test_calls_do_not_print_secrets(self, client: MsalClient) -> None:
        """A call's repr, which pytest prints, has neither form nor headers."""
        result = client.sign_in("Mail.Read")
        shown = repr(client.entra.calls)
        assert result["refresh_token"] not in shown
        assert client.entra.client_secret not in shown

    def test_connections_stay_open(self, client: MsalClient) -> None:
        """One client needs one TLS connection for many requests."""
        before = client.entra.counters["tls"]
        for _ in range(5):
            client.call("/me", {})
        assert client.entra.counters["tls"] == before + 1

    def test_config(self, entra: Emulator) -> None:
        """The settings for a Flask app, and how to change one."""
        settings = entra.config(MSAL_PROMPT="login")
        assert settings["MSAL_AUTHORITY"] == entra.authority
        assert settings["MSAL_SCOPES"] == [entra.scope("Profile.Read")]
        assert settings["MSAL_PROMPT"] == "login"


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("throttle", {"seconds": -1}, "from 0 to 86400"),
        ("throttle", {"seconds": "30"}, "a number of seconds"),
        ("throttle", {"retry_after": "minutes"}, "one of seconds, date, or null"),
        ("slow", {"seconds": 100_000}, "from 0 to 60"),
        ("unavailable", {"target": "graph"}, "one of token, api"),
        ("fail_next", {"answer": {}, "times": 0}, "from 1 to 1000"),
        ("require_context", {"place": "/mail", "context": 1}, "a string"),
        ("block", {"redirect": "yes"}, "true or false"),
        ("forge", {"alg": "RS257"}, "one of RS256"),
    ],
)
def test_values(
    entra: Emulator, name: str, given: dict[str, t.Any], words: str
) -> None:
    """Python, too, is told of a value that a switch does not take; nothing changes."""
    with pytest.raises(ValueError, match=words):
        getattr(entra, name)(**given)
    assert not entra.tenant.faults.active() and not entra.tenant.blocks
    assert entra.id_token_hook is None
