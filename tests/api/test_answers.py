"""Answers to refused callers: status, challenge, problem details."""

from __future__ import annotations

import base64
import json
import time
import typing as t
import urllib.parse

import pytest
from flask import Flask

from flask_msal_errors import errors
from flask_msal_errors.protocol import challenge
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.signals import refused
from flask_msal_errors.testing import Emulator
from support.apis import api_app
from support.apis import call

SCOPE = "api://{}/access_as_user"


def raising(entra: Emulator, error: errors.MsalAuthError) -> Flask:
    """An API whose view raises an error."""
    app, api = api_app(entra)

    @app.get("/payroll")
    @api.token_required(scopes=["access_as_user"])
    def payroll() -> str:
        raise error

    return app


def asked(**claims: t.Any) -> errors.InteractionRequired:
    demand = Demand(claims=Claims({"access_token": claims}))
    return errors.InteractionRequired(
        "No.", error="interaction_required", demand=demand
    )


def read(answer: t.Any, entra: Emulator) -> Demand | None:
    """The demand that a client of ours finds in an answer."""
    return challenge.demand(
        answer.status_code,
        answer.headers.getlist("WWW-Authenticate"),
        scopes=[SCOPE.format(entra.client_id)],
        had_token=True,
    )


class TestTable:
    """Each kind of refusal, and what clients read of it."""

    def check(
        self, entra: Emulator, error: errors.MsalAuthError, status: int, header: str
    ) -> Demand | None:
        answer = call(raising(entra, error), entra.access_token())
        assert answer.status_code == status
        assert answer.mimetype == "application/problem+json"
        assert answer.headers["Cache-Control"] == "no-store"
        details: t.Any = answer.json
        assert {"title", "status", "error"} <= details.keys()
        assert details["status"] == status
        values = answer.headers.getlist("WWW-Authenticate")
        assert len(values) == bool(header)
        assert header in "".join(values)
        exposed = answer.headers.get("Access-Control-Expose-Headers", "")
        assert ("WWW-Authenticate" in exposed) is bool(header)
        assert ("Retry-After" in exposed) is ("Retry-After" in answer.headers)
        return read(answer, entra)

    def test_claims(self, entra: Emulator) -> None:
        """Claims reach the caller as they came."""
        found = self.check(
            entra, asked(acrs={"value": "c1"}), 401, "insufficient_claims"
        )
        assert found is not None
        assert found.claims.members == {"access_token": {"acrs": {"value": "c1"}}}

    def test_without_claims(self, entra: Emulator) -> None:
        """A refusal without claims asks for a sign-in after this moment."""
        error = errors.InteractionRequired(error="invalid_grant", reason="bad_token")
        found = self.check(entra, error, 401, 'max_age="0"')
        assert found is not None and found.max_age == 0 and found.needs_user
        wanted = found.claims.members["access_token"]["nbf"]
        assert wanted["essential"] and abs(int(wanted["value"]) - time.time()) < 60

    def test_scope(self, entra: Emulator) -> None:
        """A missing scope is named in full, and asked for by our client."""
        app, api = api_app(entra)
        app.add_url_rule(
            "/payroll", view_func=api.token_required(scopes=["Write"])(lambda: "")
        )
        answer = call(app, entra.access_token())
        assert answer.status_code == 403
        found = read(answer, entra)
        assert found is not None
        assert found.scopes == (f"api://{entra.client_id}/Write",)
        assert "claims" not in answer.headers["WWW-Authenticate"]

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (errors.AccessDenied("No.", error="access_denied"), 403),
            (errors.ConfigurationError("MSAL_X: no."), 500),
            (errors.TokenError("Odd.", error="odd"), 502),
            (errors.Throttled("Wait.", retry_after=17), 429),
            (errors.Throttled("Wait.", retry_after=0), 429),
            (errors.ServiceUnavailable("Down."), 503),
            (errors.ServiceUnavailable("Down.", retry_after=17), 503),
        ],
    )
    def test_no_challenge(
        self, error: errors.MsalAuthError, status: int, entra: Emulator
    ) -> None:
        """A refusal that no other token resolves has no challenge."""
        assert self.check(entra, error, status, "") is None
        answer = call(raising(entra, error), entra.access_token())
        wait = answer.headers.get("Retry-After", "none")
        assert wait == ("none" if status not in (429, 503) else wait) and wait != ""
        told: t.Any = answer.json
        assert wait == str(told.get("retry_after", "none"))
        assert "MSAL_X" not in answer.text

    def test_one_line_and_one_signal(
        self, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Each refusal is one line in the log, and one signal."""
        app, seen = raising(entra, errors.AccessDenied("No.")), []
        with refused.connected_to(lambda app, error: seen.append(error), app):
            call(app, None)
            call(app, entra.access_token())
            call(app, entra.access_token(exp=1))
        assert [type(error).__name__ for error in seen] == [
            *("InvalidAccessToken", "AccessDenied", "InvalidAccessToken")
        ]
        lines = [x for x in caplog.records if "was refused" in x.getMessage()]
        assert len(lines) == 3

    def test_no_token_beside_a_provider_that_is_down(self, entra: Emulator) -> None:
        """Callers without a token are asked for one, though the provider is down."""
        gone = {"MSAL_AUTHORITY": "https://localhost:1/contoso", "MSAL_HTTP_RETRIES": 0}
        app, api = api_app(entra, **gone)
        app.add_url_rule("/payroll", view_func=api.token_required(lambda: ""))
        assert call(app, None).status_code == 401
        assert call(app, "garbage").status_code == 401
        answer = call(app, entra.access_token())
        assert answer.status_code == 503 and answer.headers["Retry-After"]


class TestForm:
    """The header is one that other parsers read, too."""

    def test_sample_split(self, entra: Emulator) -> None:
        """The parser of Microsoft's samples in JavaScript finds the claims.

        Azure-Samples/ms-identity-javascript-react-tutorial (``claimUtils.js``).
        """
        header = call(
            raising(entra, asked(acrs={"value": "c1"})), entra.access_token()
        ).headers["WWW-Authenticate"]
        scheme, rest = header.split(" ", 1)
        assert scheme == "Bearer"
        pairs = dict(part.strip().split("=", 1) for part in rest.split(","))
        text = base64.b64decode(pairs["claims"].strip('"'), validate=True)
        assert json.loads(text) == {"access_token": {"acrs": {"value": "c1"}}}

    @pytest.mark.parametrize("value", ["?>~", "é ü 中 🙂", 'a,b"c\\d', "x" * 3000])
    def test_any_claims(self, value: str, entra: Emulator) -> None:
        """Claims with any characters are in base64 that both alphabets read."""
        answer = call(
            raising(entra, asked(polids={"value": value})), entra.access_token()
        )
        (found,) = challenge.parse(answer.headers.getlist("WWW-Authenticate"))
        text = found.params["claims"]
        assert len(text) % 4 == 0 and not set(text) & set("+/-_")
        for decode in (base64.b64decode, base64.urlsafe_b64decode):
            members = json.loads(decode(text))
            assert members["access_token"]["polids"]["value"] == value

    def test_azure_core(self, entra: Emulator) -> None:
        """Azure-core finds the claims, and hands them to its credential."""
        policies = pytest.importorskip("azure.core.pipeline.policies._authentication")
        answer = call(raising(entra, asked(acrs={"value": "c1"})), entra.access_token())
        found = policies.get_challenge_parameter(answer.headers, "Bearer", "claims")
        assert json.loads(base64.b64decode(found))["access_token"]

    def test_names_the_sign_in(self, entra: Emulator) -> None:
        """The challenge names tenant and sign-in, without asking the provider."""
        app, api = api_app(entra)
        app.add_url_rule("/payroll", view_func=api.token_required(lambda: ""))
        (found,) = challenge.parse(call(app, None).headers["WWW-Authenticate"])
        assert found.params["realm"] == entra.tenant_id
        place = urllib.parse.urlsplit(found.params["authorization_uri"])
        assert place.path == f"/{entra.tenant_id}/oauth2/v2.0/authorize"

    def test_names_the_policy(self, entra: Emulator) -> None:
        """Azure AD B2C signs in by a policy; the realm is the tenant all the same."""
        authority = f"{entra.tenant.https_url}/tfp/contoso.example/B2C_1_signin"
        app, api = api_app(entra, MSAL_AUTHORITY=authority)
        app.add_url_rule("/payroll", view_func=api.token_required(lambda: ""))
        (found,) = challenge.parse(call(app, None).headers["WWW-Authenticate"])
        assert found.params["realm"] == "contoso.example"
        assert found.params["authorization_uri"].startswith(f"{authority}/oauth2/")

    @pytest.mark.parametrize(
        ("authority", "realm"),
        [
            ("https://contoso.ciamlogin.com", "contoso.onmicrosoft.com"),
            ("https://contoso.ciamlogin.com/fabrikam.com", "fabrikam.com"),
            ("https://login.microsoftonline.us/contoso.us/", "contoso.us"),
            ("https://login.partner.microsoftonline.cn/organizations", "organizations"),
        ],
    )
    def test_names_the_tenant(
        self, authority: str, realm: str, entra: Emulator
    ) -> None:
        """The host names the tenant of External ID, the path names others."""
        place = {"MSAL_API_ID_URI": "https://api.example", "MSAL_ALLOWED_TENANTS": "*"}
        app, api = api_app(entra, MSAL_AUTHORITY=authority, **place)
        app.add_url_rule("/payroll", view_func=api.token_required(lambda: ""))
        (found,) = challenge.parse(call(app, None).headers["WWW-Authenticate"])
        expected = f"https://{urllib.parse.urlsplit(authority).netloc}/{realm}"
        assert found.params["realm"] == realm
        assert found.params["authorization_uri"].startswith(f"{expected}/oauth2/")
        document: t.Any = app.test_client().get(
            "/.well-known/oauth-protected-resource", base_url="https://api.example"
        )
        assert document.json["authorization_servers"] == [f"{expected}/v2.0"]
