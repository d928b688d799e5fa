"""The switches over HTTP, as a program in another language uses them."""

from __future__ import annotations

import re
import typing as t

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.declaration import SWITCHES
from support.msal_client import MsalClient
from support.waiting import PATIENCE


def flip(entra: Emulator, **given: t.Any) -> requests.Response:
    """Flip a switch."""
    return requests.post(entra.control_url, json=given, timeout=PATIENCE)


def state(entra: Emulator) -> t.Any:
    """Return the answer of ``GET /control``."""
    return requests.get(entra.control_url, timeout=PATIENCE).json()


class TestHealth:
    def test_both_ports(self, entra: Emulator) -> None:
        """It answers where the pages are, and leaves no trace."""
        reply = requests.get(entra.health_url, timeout=PATIENCE)
        assert (reply.status_code, reply.json()) == (200, {"status": "ok"})
        assert entra.counters == {} and entra.calls == []


class TestSwitches:
    def test_all_are_described(self, entra: Emulator) -> None:
        """Each switch has its meaning and its fields listed, a setting its value."""
        shown = state(entra)
        assert set(shown["switches"]) == set(SWITCHES)
        for name, one in shown["switches"].items():
            assert one["meaning"] == SWITCHES[name].sentence
            assert set(one["fields"]) == {field.name for field in SWITCHES[name].fields}
        assert shown["settings"]["token_lifetime"] == 3600
        assert shown["switches"]["throttle"]["fields"]["seconds"]["default"] == 30

    @pytest.mark.parametrize(
        ("given", "where", "words"),
        [
            ({"do": "revoke", "user": "ada"}, "people", "sessions revoked"),
            ({"do": "expire_password", "user": "ada"}, "people", "password expired"),
            ({"do": "require_mfa"}, "policies", "Everyone needs MFA for everything"),
            (
                {"do": "require_mfa", "user": "ada", "scope": "Mail.Read"},
                "policies",
                "Ada Lovelace needs MFA for Mail.Read",
            ),
            (
                {"do": "require_context", "place": "/mail", "context": "c2"},
                "policies",
                "/mail demands authentication context c2",
            ),
            ({"do": "throttle", "seconds": 1000}, "faults", "token: 429 for 1000 s"),
            ({"do": "throttle", "target": "api"}, "faults", "api: 429 for 30 s"),
            ({"do": "throttle", "user": "ada"}, "faults", "token of ada: 429 for 30 s"),
            (
                {"do": "require_device", "scope": "Mail.Read"},
                "policies",
                "Everyone needs a compliant device for Mail.Read",
            ),
            (
                {"do": "remove_second_factor", "user": "ada"},
                "people",
                "no second factor",
            ),
            ({"do": "slow", "seconds": 1, "drip": True}, "faults", "dripping, 1 s"),
            ({"do": "slow", "seconds": 2.5, "drip": False}, "faults", "slow, 2.5 s"),
            ({"do": "broken", "target": "jwks"}, "faults", "jwks: broken JSON"),
        ],
    )
    def test_effects(
        self, entra: Emulator, given: dict[str, t.Any], where: str, words: str
    ) -> None:
        """A switch is on, and the state says so."""
        assert words not in str(state(entra)[where])
        reply = flip(entra, **given)
        assert reply.json() == {"done": given["do"], "result": None}
        assert words in str(state(entra)[where])

    @pytest.mark.parametrize(
        ("more", "after", "body"),
        [
            ({}, "30", "Too Many Requests"),
            ({"retry_after": None}, None, "Too Many Requests"),
            ({"retry_after": "date"}, "GMT", "Too Many Requests"),
            ({"plain": False}, "30", '"error"'),
        ],
    )
    def test_throttle(
        self, entra: Emulator, more: dict[str, t.Any], after: str | None, body: str
    ) -> None:
        """Without more, it throttles as ``entra.throttle()`` does."""
        flip(entra, do="throttle", target="api", **more)
        url = f"{entra.api_url}/me"
        reply = requests.get(url, verify=entra.ca_file, timeout=PATIENCE)
        assert reply.status_code == 429 and body in reply.text
        found = reply.headers.get("Retry-After")
        assert found is None if after is None else str(found).endswith(after)

    def test_result(self, entra: Emulator) -> None:
        """A switch that makes a new secret tells it."""
        result = flip(entra, do="secret_rotated").json()["result"]
        assert result == entra.client_secret

    def test_register(self, entra: Emulator, client: MsalClient) -> None:
        """A registration is made as in Python; its answer has what the app needs."""
        given = {"scopes": ["access_as_user"], "known_clients": ["app"]}
        permissions = ["User.Read", entra.scope("Mail.Read")]
        reply = flip(
            entra, do="register", name="payroll", permissions=permissions, **given
        )
        made = entra.registrations["payroll"]
        assert reply.json()["result"] == {
            "name": "payroll",
            "client_id": made.client_id,
            "client_secret": made.client_secret,
            "id_uri": f"api://{made.client_id}",
            "scopes": [made.scope("access_as_user")],
        }
        flip(entra, do="give_consent", user="ada", scope="User.Read", app="payroll")
        reply = flip(entra, do="register", name="x", permissions=["nowhere/Read"])
        assert reply.status_code == 400
        assert "no registered API" in reply.json()["error"]

    def test_settings(self, entra: Emulator) -> None:
        """A setting has its new value, until everything is reset."""
        uris = ["http://localhost/b", "http://localhost/a"]
        flip(entra, do="redirect_uris", value=uris)
        flip(entra, do="clock_skew", value=-90)
        assert state(entra)["settings"]["redirect_uris"] == sorted(uris)
        assert entra.redirect_uris == set(uris) and entra.clock_skew == -90
        flip(entra, do="reset")
        assert entra.redirect_uris is None and entra.clock_skew == 0

    def test_written_answers(self, entra: Emulator, client: MsalClient) -> None:
        """ID tokens are forged, and answers scripted, as in Python."""
        flip(entra, do="fail_next", answer={"error": "mine"}, status=418)
        reply = client.token()
        assert (reply.status_code, reply.json()["error"]) == (418, "mine")
        flip(entra, do="forge", drop=["sid"], claims={"name": "Eve"})
        claims = client.sign_in("Mail.Read")["id_token_claims"]
        assert claims["name"] == "Eve" and "sid" not in claims

    def test_consent(self, entra: Emulator) -> None:
        """Consent can be given in advance, and be taken back."""
        given = {"user": "ada", "scope": "Mail.Read"}
        flip(entra, do="give_consent", **given)
        assert entra.users["ada"].consents == {entra.scope("Mail.Read")}
        flip(entra, do="withdraw_consent", **given)
        assert entra.users["ada"].consents == set()

    def test_asked(self, entra: Emulator, client: MsalClient) -> None:
        """An app's requests are listed, without secrets; those to /control are not."""
        result = client.sign_in("Mail.Read")
        shown = state(entra)
        assert [asked["endpoint"] for asked in shown["asked"]] == ["authorize", "token"]
        assert shown["asked"][1]["grant_type"] == "authorization_code"
        assert shown["counters"]["token.200"] == 1 and "control" not in str(shown)
        assert result["access_token"] not in str(shown)
        flip(entra, do="reset")
        assert state(entra)["asked"] == []

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({}, '"do" is one of revoke, '),
            ({"do": "explode"}, '"do" is one of revoke, '),
            ({"do": ["revoke"]}, '"do" is one of revoke, '),
            ({"do": "revoke"}, "revoke: it needs user"),
            ({"do": "revoke", "user": "bob"}, "no user 'bob', but ada, grace"),
            ({"do": "revoke", "user": 1}, "revoke: user is a string, the short"),
            ({"do": "loop", "user": "ada"}, "loop: it takes no fields, not user"),
            ({"do": "throttle", "second": 3}, "it takes target, seconds, plain, "),
            ({"do": "throttle", "seconds": "3"}, "seconds is a number of seconds"),
            ({"do": "throttle", "seconds": True}, "seconds is a number of seconds"),
            ({"do": "throttle", "retry_after": "x"}, "one of seconds, date, or null"),
            ({"do": "throttle", "target": "moon"}, "target is one of token, api"),
            ({"do": "slow", "drip": 1}, "drip is true or false"),
            ({"do": "throttle", "seconds": 1e9}, "a number of seconds from 0 to 86400"),
            ({"do": "header_form", "value": "x"}, "value is one of graph_live, "),
            ({"do": "token_lifetime", "value": 1.5}, "value is a whole number of "),
            ({"do": "token_lifetime"}, "token_lifetime: it needs value"),
            ({"do": "redirect_uris", "value": "x"}, "a list of strings, or null"),
            ({"do": "forge", "claims": []}, "claims is a JSON object"),
            ({"do": "register_certificate", "pem": "x"}, "register_certificate: "),
        ],
    )
    def test_mistakes(
        self, entra: Emulator, given: dict[str, t.Any], said: str
    ) -> None:
        """A mistake changes nothing, and the answer says what is right."""
        before = state(entra)
        reply = flip(entra, **given)
        assert reply.status_code == 400 and said in reply.json()["error"]
        assert state(entra) == before

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"revoke"', b"null"])
    def test_no_object(self, entra: Emulator, body: bytes) -> None:
        """Anything but a JSON object is refused."""
        headers = {"Content-Type": "application/json"}
        url = entra.control_url
        answer = requests.post(url, body, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 400

    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded"]
    )
    def test_forms_of_other_pages(self, entra: Emulator, kind: str) -> None:
        """A request that a page of any origin could send unasked is refused."""
        body = '{"do": "loop"}'
        headers = {"Content-Type": kind}
        url = entra.control_url
        answer = requests.post(url, body, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 415
        asked = requests.options(url, headers={"Origin": "http://evil.example"})
        assert not re.search("access-control", str(asked.headers), re.I)
        assert state(entra)["faults"] == []
