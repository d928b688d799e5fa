"""The control panel: every button does what it says, for its own forms only."""

from __future__ import annotations

import collections
import html
import re
import time
import typing as t

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.declaration import SWITCHES
from flask_msal_errors.testing.declaration import Switch
from flask_msal_errors.testing.entra.faults import TARGETS
from flask_msal_errors.testing.entra.faults import Script
from flask_msal_errors.testing.values import Choice
from flask_msal_errors.testing.values import Object
from flask_msal_errors.testing.values import Suggested
from support.identity import Identity
from support.msal_client import MsalClient

#: Values of fields that have no default.
GIVEN = {
    "user": "ada",
    "role": "Approver",
    "group": "Finance",
    "name": "payroll",
    "scope": "Mail.Read",
    "place": "/mail",
    "answer": '{"error": "invalid_grant"}',
}


def filled(switch: Switch) -> dict[str, str]:
    """Return a form of the panel's for a switch, with Ada as the user."""
    if not switch.is_setting:
        known = {**GIVEN, "pem": Identity().public_pem()}
        return {f.name: known[f.name] for f in switch.fields if f.name in known}
    values = switch.fields[0].values
    if isinstance(values, Choice):
        return {"value": values.names[-1]}
    samples = {"number": "300", "flag": "on", "string": "https://x.example"}
    text = "{}" if isinstance(values, Object) else "a b"
    return {"value": samples.get(values.widget, text)}


def broken_script() -> Script:
    """Return a script that fails."""
    return Script(lambda request: 1 // 0, 200, 1, {})


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

    @pytest.mark.parametrize("name", sorted(set(SWITCHES) - {"reset"}))
    def test_answers_in_sentences(self, entra: Emulator, name: str) -> None:
        """Each button says what has changed, and what to try next."""
        switch = SWITCHES[name]
        page = press(entra, name, **filled(switch))
        (told,) = re.findall(r"<p><strong>(.*?)</strong> (.*?)</p>", page.text)
        what, then = map(html.unescape, told)
        assert then == (switch.then or switch.group.then)
        assert what.endswith(".")
        assert "{" not in what.replace("{}", "")
        assert "None" not in what
        if "user" in filled(switch):
            assert "Ada Lovelace" in what
        assert f"<details open><summary><h3>{switch.group.title}" in page.text

    def test_on_or_off(self, entra: Emulator) -> None:
        """A card that has a meaning and a state says which of them holds now."""
        panel = entra.person().get(entra.panel_url).text
        assert "is right, but has expired. Now off: it is valid." in panel
        page = press(entra, "secret_expired", value="on")
        assert "is right, but has expired. Now on: it has expired." in page.text

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            (
                "redirect_uris",
                ["https://b/x", "https://a/x"],
                "https://a/x, https://b/x",
            ),
            ("redirect_uris", None, "none"),
            ("openid_scope_aliases", {"email": "mail"}, "email as mail"),
            ("openid_scope_aliases", {}, "none"),
            ("openid_required_parameters", {"b", "a"}, "a, b"),
        ],
    )
    def test_values(self, entra: Emulator, name: str, value: t.Any, words: str) -> None:
        """A setting with several values has them in words, and not as in Python."""
        setattr(entra, name, value)
        panel = html.unescape(entra.person().get(entra.panel_url).text)
        assert f"{SWITCHES[name].sentence} Now: {words}.</p>" in panel

    def test_lines(self, entra: Emulator) -> None:
        """So has the sentence after they were entered, one a line."""
        page = press(entra, "redirect_uris", value="https://b/x\nhttps://a/x")
        assert "Redirect URIs: Now: https://b/x, https://a/x." in page.text

    def test_suggested(self, entra: Emulator) -> None:
        """A field with suggestions takes others, too: scopes and paths of any app."""
        panel = entra.person().get(entra.panel_url).text
        shown = [s for s in SWITCHES.values() if not s.for_one_user]
        fields = [(s.name, f) for s in shown for f in s.fields]
        names = [(n, f.name) for n, f in fields if isinstance(f.values, Suggested)]
        assert ("require_context", "place") in names
        for switch, field in names:
            assert f'<datalist id="{switch}-{field}"><option value=' in panel
            entry = f'<input name="{field}" list="{switch}-{field}"'
            assert entry in panel

    def test_says_it_once(self, entra: Emulator) -> None:
        """The sentence is of the press: neither a reload nor a link shows it."""
        page = press(entra, "loop")
        assert 'role="status"' in page.text
        for url in (entra.panel_url, f"{entra.panel_url}?done=loop"):
            assert 'role="status"' not in entra.person().get(url).text

    def test_reset(self, entra: Emulator) -> None:
        """Reset asks; when it is sure, it is complete: policies, faults, users."""
        press(entra, "throttle")
        press(entra, "expire_password", user="ada")
        page = press(entra, "reset")
        assert "Reset everything?" in page.text
        assert "ends every sign-in" in page.text
        assert entra.users["ada"].password_expired
        page = press(entra, "reset", sure="yes")
        assert "No faults" in page.text
        assert "password expired" not in page.text
        assert "Everything is as at the start." in page.text

    def test_roles_and_groups(self, entra: Emulator) -> None:
        """The panel gives roles and groups, and shows who has them."""
        press(entra, "give_role", user="grace", role="Approver")
        page = press(entra, "add_to_group", user="grace", group="Finance")
        assert "role Approver, in 1 group" in page.text
        assert entra.users["grace"].roles == {"Approver"}
        assert entra.users["grace"].groups == {entra.group_id("Finance")}


class TestWaits:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({}, "The app was told so, and waits on purpose until then."),
            ({"retry_after": ""}, "it chooses its own pause."),
        ],
    )
    def test_throttled(
        self, client: MsalClient, fields: dict[str, str], words: str
    ) -> None:
        """It says until when the app waits, as soon as the app was told so."""
        page = press(client.entra, "throttle", seconds="600", **fields)
        until = client.entra.tenant.faults.outages["token"].until
        hour = time.strftime("%H:%M:%S", time.localtime(until))
        text = f"Until {hour}, the token endpoint answers 429. No request has met that"
        assert text in page.text
        client.token(grant_type="refresh_token")
        page = client.person.get(client.entra.panel_url)
        assert words in page.text

    @pytest.mark.parametrize("target", TARGETS)
    def test_names_the_target(self, entra: Emulator, target: str) -> None:
        """Sentences have a target's full name, and not the word that Python has."""
        full = TARGETS[target]
        page = press(entra, "throttle", seconds="9", target=target)
        assert f"For 9 s, {full} answers 429 to everyone." in page.text
        assert f", {full} answers 429. No request" in page.text
        page = press(entra, "slow", seconds="2", target=target)
        assert page.text.count(f"Each answer of {full} takes 2 s") == 2

    def test_names_the_user(self, entra: Emulator) -> None:
        """A throttle for one user says for whom."""
        page = press(entra, "throttle", seconds="9", user="ada")
        assert "the token endpoint answers 429 to Ada Lovelace." in page.text
        assert "the token endpoint answers 429 to Ada. No request" in page.text

    def test_over(self, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once it is over, nothing is said."""
        entra.throttle(60)
        assert len(entra.tenant.faults.waits()) == 1
        later = time.time() + 61
        monkeypatch.setattr(time, "time", lambda: later)
        assert entra.tenant.faults.waits() == []

    def test_slow_and_loop(self, entra: Emulator) -> None:
        """So does a slow target, and a loop that Entra claims to see."""
        entra.slow(2)
        entra.loop()
        slow, loop = entra.tenant.faults.waits()
        assert "takes 2 s" in slow
        assert "pauses" in loop


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "form", "status", "words"),
        [
            ("/nothing", None, 404, "There is no such page here."),
            ("/panel", {"do": "nothing"}, 400, "no such switch. Go back"),
            ("/panel", {"do": "revoke"}, 400, "Revoke sessions: it needs user."),
            (
                "/panel",
                {"do": "give_role", "user": "ada", "role": "X", "app": "nix"},
                400,
                "no registration 'nix', but app, api, graph. Go back",
            ),
            ("/health", {}, 405, "This page takes no such request."),
        ],
    )
    def test_pages(
        self,
        entra: Emulator,
        path: str,
        form: dict[str, str] | None,
        status: int,
        words: str,
    ) -> None:
        """People get a page that says what to do, under the policy of the others."""
        person, url = entra.person(), entra.pages_url + path
        reply = person.get(url) if form is None else person.post(url, form)
        assert reply.status_code == status
        assert words in html.unescape(reply.text)
        assert f'href="{entra.panel_url}"' in reply.text
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]

    def test_failure(self, entra: Emulator, caplog: pytest.LogCaptureFixture) -> None:
        """A failure of its own is a page, too, without the traceback that is logged."""
        entra.tenant.faults.scripts["panel"] = collections.deque([broken_script()])
        reply = entra.person().get(entra.panel_url)
        assert reply.status_code == 500
        assert "The emulator failed" in reply.text
        assert "ZeroDivisionError" not in reply.text
        assert "ZeroDivisionError" in caplog.text

    def test_programs(self, entra: Emulator, http: requests.Session) -> None:
        """A program at an endpoint gets no page."""
        entra.tenant.faults.scripts["token"] = collections.deque([broken_script()])
        reply = http.post(f"{entra.authority}/oauth2/v2.0/token")
        assert reply.status_code == 500
        assert "Entra emulator" not in reply.text


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
