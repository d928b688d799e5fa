"""The control panel: every button does what it says, for its own forms only."""

from __future__ import annotations

import typing as t

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.declaration import SWITCHES
from support.msal_client import MsalClient


def press(entra: Emulator, do: str, **fields: str) -> requests.Response:
    """Press a button on the panel and see the panel again."""
    return entra.person().visit(entra.panel_url, {"do": do, **fields})


class TestButtons:
    def test_every_action_has_a_button_and_every_button_an_action(
        self, entra: Emulator
    ) -> None:
        """Page and table name the same switches."""
        from flask_msal_errors.testing.browser.forms import Page

        page = Page(entra.panel_url, entra.person().get(entra.panel_url).text)
        buttons = {value for form in page.forms for _, value in form.buttons}
        assert buttons == set(SWITCHES)

    @pytest.mark.parametrize(
        ("do", "fields", "words"),
        [
            ("revoke", {"user": "ada"}, "sessions revoked"),
            ("expire_frequency", {"user": "ada"}, "sign-in too old"),
            ("expire_password", {"user": "ada"}, "password expired"),
            ("require_mfa", {"user": "ada"}, "Ada Lovelace needs MFA for everything"),
            ("require_mfa", {"scope": "Mail.Read"}, "Everyone needs MFA for Mail.Read"),
            ("block", {"scope": "Mail.Read"}, "Mail.Read is blocked"),
            (
                "require_context",
                {"place": "/mail", "context": "c2"},
                "/mail demands authentication context c2",
            ),
            ("throttle", {"seconds": "30"}, "token: 429 for 30 s"),
            ("throttle", {"seconds": "x", "target": "api"}, "api: 429 for 30 s"),
            ("unavailable", {"seconds": "9", "target": "jwks"}, "jwks: 503 for 9 s"),
            ("slow", {"seconds": "2", "drip": "on"}, "token: dripping, 2 s"),
            ("slow", {"seconds": "2"}, "token: slow, 2 s"),
            ("broken", {"target": "discovery"}, "discovery: broken JSON"),
            ("loop", {}, "token: loop detected"),
            ("one_time_refresh_tokens", {"value": "on"}, "Each works once."),
            ("token_lifetime", {"value": "600"}, "Now 600 s."),
            ("clock_skew", {"value": "90"}, "90 s fast"),
            ("header_form", {"value": "arm"}, "<option selected>arm"),
        ],
    )
    def test_effects_show(
        self, entra: Emulator, do: str, fields: dict[str, t.Any], words: str
    ) -> None:
        """A switch is on after its button, and the panel says so."""
        page = press(entra, do, **fields)
        assert page.status_code == 200
        assert words in page.text

    @pytest.mark.parametrize(
        ("do", "fields"),
        [
            ("change_ip", {"user": "ada"}),
            ("withdraw_consent", {"user": "ada"}),
            ("clear_policies", {}),
            ("clear_faults", {}),
            ("rotate_keys", {"keep_old": "on"}),
            ("secret_rotated", {}),
        ],
    )
    def test_quiet_ones_work(
        self, entra: Emulator, do: str, fields: dict[str, t.Any]
    ) -> None:
        """Switches without a visible state confirm that they were flipped."""
        page = press(entra, do, **fields)
        assert f"Done: {do.replace('_', ' ')}." in page.text

    def test_reset(self, entra: Emulator) -> None:
        """Reset is complete: policies, faults, users."""
        press(entra, "throttle")
        press(entra, "expire_password", user="ada")
        page = press(entra, "reset")
        assert "No faults" in page.text
        assert "password expired" not in page.text


class TestSafety:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Sec-Fetch-Site": "same-origin"}, 303),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({}, 403),
        ],
    )
    def test_other_pages_cannot_press(
        self, entra: Emulator, headers: dict[str, t.Any], status: int
    ) -> None:
        """Only the panel's own forms are taken, whatever page the browser shows."""
        answer = requests.post(
            entra.panel_url, {"do": "loop"}, headers=headers, allow_redirects=False
        )
        assert answer.status_code == status
        assert entra.tenant.faults.loop is (status == 303)

    def test_browsers_without_fetch_metadata(self, entra: Emulator) -> None:
        """Without Sec-Fetch-Site the Origin decides."""
        headers = {"Origin": entra.pages_url}
        answer = requests.post(entra.panel_url, {"do": "loop"}, headers=headers)
        assert answer.ok
        assert entra.tenant.faults.loop

    @pytest.mark.parametrize(
        "form",
        [
            {"do": "nothing"},
            {},
            {"do": "revoke"},
            {"do": "revoke", "user": "nobody"},
            {"do": "header_form"},
            {"do": "broken", "target": "moon"},
            {"do": "loop", "target": "api"},
            {"do": "fail_next", "answer": "{"},
        ],
    )
    def test_incomplete_forms(self, entra: Emulator, form: dict[str, t.Any]) -> None:
        """An action that is unknown, or lacks a value, is 400."""
        assert entra.person().post(entra.panel_url, form).status_code == 400

    def test_calls_are_listed_without_secrets(self, client: MsalClient) -> None:
        """The last calls name scopes and claims, never codes, tokens or states."""
        result = client.sign_in("Mail.Read")
        code = next(iter(client.entra.tenant.codes))
        page = client.person.get(client.entra.panel_url).text
        assert "grant_type=authorization_code" in page
        assert "Mail.Read" in page
        assert "signed in" in page
        for secret in (code, result["refresh_token"], client.entra.client_secret):
            assert secret not in page

    def test_front_door(self, entra: Emulator) -> None:
        """The bare address leads to the panel; the panel stores nothing."""
        page = entra.person().visit(entra.pages_url)
        assert "Entra emulator" in page.text
        assert page.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
