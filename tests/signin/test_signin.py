"""A sign-in from its page and back to it, over real sockets."""

from __future__ import annotations

import json
import logging
import typing as t
import urllib.parse

import pytest

from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from support.browsing import authorize_query
from support.browsing import logout_token
from support.live_app import LiveApp


class TestReturn:
    @pytest.mark.parametrize(
        "path",
        [
            "/me",
            "/me?a=b%26c&d=%2F&e=a+b&f=%E2%82%AC",
            "/me?next=//evil.example",
            "/me?a=1&a=2&=&b",
            "/me?" + "q=x%20y&" * 400,
        ],
    )
    def test_to_the_very_url(self, live: LiveApp, entra: Emulator, path: str) -> None:
        """A visitor comes back to the page they asked for, with its query."""
        person = entra.person("ada")
        shown = person.visit(live.url + path)
        assert shown.text == "me ada@contoso.example"
        assert shown.url == live.url + path
        assert entra.counters["token"] == 1

    @pytest.mark.parametrize(
        ("next_", "lands"),
        [
            ("/basket/apple?a=b", "/basket/apple?a=b"),
            ("//evil.example/", "/"),
            ("https://evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
        ],
    )
    def test_next_is_guarded(
        self, live: LiveApp, entra: Emulator, next_: str, lands: str
    ) -> None:
        """An unsigned login link leads to a path of this app and nowhere else."""
        person = entra.person()
        login = f"{live.url}/auth/login?{urllib.parse.urlencode({'next': next_})}"
        assert person.visit(login).url == live.url + lands

    def test_next_in_full(self, live: LiveApp, entra: Emulator) -> None:
        """A login link with the app's own URL, host included, leads to its path."""
        full = f"{live.url}/basket/apple?a=b%26c"
        login = f"{live.url}/auth/login?{urllib.parse.urlencode({'next': full})}"
        assert entra.person().visit(login).url == full

    def test_unsigned_login_takes_only_next(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """Nobody can make a login link that asks for claims, scopes or an account."""
        wish = "claims={}&scopes=Mail.Read&prompt=consent&login_hint=eve&acrs=c9"
        entra.person().visit(f"{live.url}/auth/login?{wish}&max_age=0&reason=x")
        sent = authorize_query(entra)
        assert set(sent["scope"].split()) == {
            *("openid", "profile", "offline_access", entra.scope("Profile.Read"))
        }
        assert not {"prompt", "login_hint", "max_age"} & sent.keys()
        assert json.loads(sent["claims"]) == {
            "access_token": {"xms_cc": {"values": ["CP1"]}}
        }


class TestSignals:
    def test_are_sent(self, live: LiveApp, entra: Emulator) -> None:
        """Each thing that happens to a sign-in is told to who listens."""
        told: list[tuple[str, dict[str, t.Any]]] = []
        listeners = {
            name: getattr(signals, name)
            for name in ("signed_in", "reauthenticated", "signed_out", "sign_in_failed")
        }
        for name, signal in listeners.items():
            signal.connect(
                lambda app, _name=name, **data: told.append((_name, data)),
                live.app,
                weak=False,
            )
        person = entra.person(decline_consent=True)
        person.visit(live.url + "/me")
        person.decline_consent = False
        person.visit(live.url + "/me")
        person.visit(live.url + "/mail")
        page = person.get(live.url + "/auth/logout")
        person.visit(live.url + "/auth/logout", {"token": logout_token(page)})
        assert [name for name, _ in told] == [
            *("sign_in_failed", "signed_in", "reauthenticated", "signed_out")
        ]
        assert told[0][1]["error"].codes == (65004,)
        assert told[2][1]["reason"] == "consent_required"
        assert all(data["user"].username.startswith("ada") for _, data in told[1:])

    def test_log_tells_the_story(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says what began, what was completed, and what failed."""
        with caplog.at_level(logging.INFO, "flask_msal_errors"):
            entra.person().visit(live.url + "/me")
            entra.person("linus", cancel=True).visit(live.url + "/me")
            entra.person("linus", decline_consent=True).visit(live.url + "/me")
        assert "A sign-in begins (not_signed_in)." in caplog.text
        assert "A sign-in was completed (not_signed_in)." in caplog.text
        assert "A sign-in failed: access_denied / cancel" in caplog.text
        assert "AADSTS65004" in caplog.text
        assert {record.levelname for record in caplog.records} == {"INFO"}
