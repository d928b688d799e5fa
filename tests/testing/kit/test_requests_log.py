"""An app's requests: read, compared, and never with a secret."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from flask_msal_errors.testing import Asked
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.kit.requests_log import contains
from support.msal_client import MsalClient


@pytest.fixture
def signed_in(client: MsalClient) -> MsalClient:
    """An app that signed Ada in, for her mail and context c1."""
    claims = '{"id_token": {"acrs": {"essential": true, "value": "c1"}}}'
    client.sign_in(
        "Mail.Read",
        claims_challenge=claims,
        login_hint="ada@contoso.example",
        prompt="select_account",
        max_age=60,
    )
    return client


class TestAsked:
    def test_authorize(self, entra: Emulator, signed_in: MsalClient) -> None:
        """Everything that an authorize request says is there, parsed."""
        asked = next(a for a in entra.asked if a.endpoint == "authorize")
        assert asked.path == f"/{entra.tenant_id}/oauth2/v2.0/authorize"
        assert (asked.method, asked.status) == ("GET", 303)
        assert {entra.scope("Mail.Read"), "openid"} <= set(asked.scopes)
        assert asked.claims["id_token"]["acrs"]["value"] == "c1"
        assert asked.claims["access_token"] == {"xms_cc": {"values": ["CP1"]}}
        assert asked.acrs == ("c1",)
        assert (asked.prompt, asked.max_age) == ("select_account", 60)
        assert asked.login_hint == "ada@contoso.example"
        assert (asked.response_mode, asked.grant_type) == ("form_post", None)

    def test_token_and_api(self, entra: Emulator, signed_in: MsalClient) -> None:
        """Token requests name their grant and correlation id, API calls their path."""
        signed_in.call("/mail", signed_in.silent("Mail.Read"))
        code, refresh, api = [a for a in entra.asked if a.endpoint != "authorize"]
        assert code.grant_type == "authorization_code"
        assert refresh.grant_type == "refresh_token"
        assert refresh.correlation_id and refresh.correlation_id != code.correlation_id
        assert (api.endpoint, api.path, api.status) == ("api", "/api/mail", 200)

    def test_secrets(self, entra: Emulator, signed_in: MsalClient) -> None:
        """No secret, code, token, verifier or state is in it."""
        signed_in.silent("Mail.Read")
        names = ("client_secret", "code", "refresh_token", "code_verifier", "state")
        sent = [{**call.query, **call.form} for call in entra.calls]
        secrets = {one[name] for one in sent for name in names if one.get(name)}
        text = str([dataclasses.astuple(asked) for asked in entra.asked])
        assert len(secrets) >= 5
        assert not [secret for secret in secrets if secret in text]

    def test_claims_that_are_no_json(self, entra: Emulator, client: MsalClient) -> None:
        """They are shown as they came; levels come from ``acr_values`` too."""
        client.person.get(client.authorize_url(claims="{", acr_values="c2 c1"))
        (asked,) = entra.asked
        assert (asked.claims, asked.acrs) == ("{", ("c1", "c2"))
        assert asked.max_age is None

    def test_clear(self, entra: Emulator, signed_in: MsalClient) -> None:
        """The requests are forgotten, but the tenant stays as it is."""
        entra.expire_password("ada")
        entra.clear_asked()
        assert (entra.asked, entra.counters) == ([], {})
        assert entra.users["ada"].password_expired


class TestAssertAsked:
    @pytest.mark.parametrize(
        "wanted",
        [
            {},
            {"times": 1},
            {"scopes": ["Mail.Read"]},
            {"scopes": ["Mail.Read", "openid"], "acrs": ["c1"], "max_age": 60},
            {"acrs": ("c1",)},
            {"claims": {"id_token": {"acrs": {"value": "c1"}}}},
            {"claims": {"id_token": {}, "access_token": {}}},
            {"prompt": "select_account", "domain_hint": None},
            {"prompt": "none", "times": 0},
            {"endpoint": "token", "grant_type": "authorization_code"},
            {"endpoint": "api", "times": 0},
        ],
    )
    def test_holds(self, entra: Emulator, signed_in: MsalClient, wanted: t.Any) -> None:
        """A part of what was sent is enough."""
        found = entra.assert_asked(**wanted)
        assert (found is None) is (wanted.get("times") == 0)

    @pytest.mark.parametrize(
        "wanted",
        [
            {"times": 0},
            {"times": 2},
            {"scopes": ["Mail.Write"]},
            {"scopes": ["Read"]},
            {"scopes": ["Mail.Read", "Payroll.Read"]},
            {"acrs": ["c1", "c2"]},
            {"claims": None},
            {"claims": {"id_token": {"acrs": {"value": "c2"}}}},
            {"claims": {"id_token": {"acrs": {"value": {"c1": 1}}}}},
            {"claims": {"userinfo": {}}},
            {"prompt": None},
            {"login_hint": "grace@contoso.example"},
            {"max_age": 61},
            {"endpoint": "token", "grant_type": "refresh_token"},
            {"endpoint": "logout"},
        ],
    )
    def test_fails(self, entra: Emulator, signed_in: MsalClient, wanted: t.Any) -> None:
        """One thing that differs fails, and the message shows what came instead."""
        with pytest.raises(AssertionError) as failed:
            entra.assert_asked(**wanted)
        text = str(failed.value)
        assert "authorize: GET" in text and "login_hint='ada@contoso.example'" in text
        assert "grant_type='authorization_code'" in text

    def test_latest(self, entra: Emulator, client: MsalClient) -> None:
        """Of several requests that fit, the latest is returned."""
        client.person.get(client.authorize_url(prompt="login", domain_hint="a"))
        client.person.get(client.authorize_url(prompt="login", domain_hint="b"))
        found = entra.assert_asked(prompt="login", times=2)
        assert found is not None and found.domain_hint == "b"

    def test_nothing(self, entra: Emulator) -> None:
        """The message of an empty list says so."""
        with pytest.raises(AssertionError, match="oldest first:\n  nothing"):
            entra.assert_asked()

    @pytest.mark.parametrize(
        ("error", "wanted"),
        [
            (ValueError, {"endpoint": "tokens"}),
            (TypeError, {"scope": ["a"]}),
            (TypeError, {"scopes": "Mail.Read"}),
            (TypeError, {"acrs": "c1"}),
        ],
    )
    def test_slips_of_the_pen(
        self, entra: Emulator, error: type[Exception], wanted: t.Any
    ) -> None:
        """A condition that could never hold, or always does, is refused."""
        with pytest.raises(error):
            entra.assert_asked(times=0, **wanted)


def test_contains() -> None:
    """Lists and values are equal, objects are parts."""
    assert contains({"a": [1, 2], "b": 1}, {"a": [1, 2]})
    assert not contains({"a": [1, 2]}, {"a": [1]})
    assert not contains("a", {"a": 1}) and contains({}, {})
    assert Asked("api", "/", 200) == Asked("api", "/", 200, "GET")
