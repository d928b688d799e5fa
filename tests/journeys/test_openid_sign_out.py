"""Sign-out at providers that are not Microsoft's, each strict in its own way."""

from __future__ import annotations

import time
import typing as t

import pytest
import requests
from cryptography.fernet import Fernet

from flask_msal_errors.provider import client
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import logout_token
from support.browsing import query
from support.identity import Identity
from support.live_app import LiveApp
from support.live_app import Start

pytestmark = pytest.mark.once

BYE = "You are signed out of this app."


def site(start: Start, entra: Emulator, kind: str = "openid", **more: t.Any) -> LiveApp:
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    return start(**{**entra.config(kind), **absent, **more})


def sign_out(live: LiveApp, person: Person, **kwargs: t.Any) -> requests.Response:
    """Press the button, and go where it leads."""
    page = person.get(live.url + "/auth/logout")
    form = {"token": logout_token(page)}
    return person.visit(live.url + "/auth/logout", form, **kwargs)


def is_known(live: LiveApp, person: Person) -> bool:
    """Whether the provider signs the person in without a page of its own."""
    person.pages.clear()
    person.visit(live.url + "/me")
    return "pick" not in person.pages


class TestHint:
    def test_strict_provider(
        self, start: Start, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An ID token proves whose session ends: an old one, and after a refresh, too.

        Neither asks the person anything.
        """
        entra.token_lifetime = 1
        key = Fernet.generate_key().decode()
        live = site(start, entra, MSAL_ENCRYPTION_KEYS=[key])
        entra.openid_logout_uris = {live.url + "/auth/signed-out"}
        for form in ("hint_required", "asks_without_hint"):
            entra.openid_logout = form
            person = entra.person()
            assert person.visit(live.url + "/mail").status_code == 200
            refreshes = entra.counters["token.refresh_token"]
            assert person.visit(live.url + "/mail").status_code == 200
            assert entra.counters["token.refresh_token"] > refreshes
            person.pages.clear()
            shown = sign_out(live, person)
            assert (shown.url, person.pages) == (live.url + "/auth/signed-out", [])
            assert BYE in shown.text
            assert person.get(live.url + "/").text == "hello nobody"
            assert not is_known(live, person)
        hints = [c.query["id_token_hint"] for c in entra.calls if c.kind == "logout"]
        assert hints and not any(hint in caplog.text for hint in hints)

    @pytest.mark.parametrize("by_link", [True, False])
    def test_large(self, start: Start, entra: Emulator, by_link: bool) -> None:
        """A large ID token is posted by a page of ours, and is in no URL."""
        entra.id_token_hook = lambda claims, _: {**claims, "groups": "x" * 6000}
        live = site(start, entra)
        live.app.add_url_rule("/link", "link", lambda: live.auth.logout_url())
        person = entra.person()
        person.visit(live.url + "/me")
        if by_link:
            shown = person.visit(live.url + person.get(live.url + "/link").text)
        else:
            shown = sign_out(live, person)
        assert BYE in shown.text
        call = next(c for c in reversed(entra.calls) if c.kind == "logout")
        assert (call.method, call.query) == ("POST", {})
        assert len(call.form["id_token_hint"]) > 6000
        assert not any(call.form["id_token_hint"] in url for url in person.history)
        assert not is_known(live, person)

    def test_page(self, start: Start, entra: Emulator) -> None:
        """That page has a button, our script alone, and comes after the sign-out."""
        entra.id_token_hook = lambda claims, _: {**claims, "groups": "x" * 6000}
        live, person = site(start, entra), entra.person()
        person.visit(live.url + "/me")
        form = {"token": logout_token(person.get(live.url + "/auth/logout"))}
        page = person.post(live.url + "/auth/logout", form)
        assert person.get(live.url + "/").text == "hello nobody"
        assert page.headers["Cache-Control"] == "no-store"
        assert "Refresh" not in page.headers
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy and "default-src 'none'" in policy
        assert page.text.count("<script") == 1 and "<button>Continue" in page.text
        assert BYE in person.submit(page).text

    @pytest.mark.parametrize("kind", ["custom_domain", "b2c"])
    def test_entra(self, start: Start, entra: Emulator, kind: str) -> None:
        """Entra gets no ID token, wherever it is."""
        live, person = site(start, entra, kind, **entra.config(kind)), entra.person()
        person.visit(live.url + "/me")
        assert BYE in sign_out(live, person).text
        call = next(c for c in reversed(entra.calls) if c.kind == "logout")
        hint = {"logout_hint"} if kind == "custom_domain" else set()
        assert call.query.keys() == {"client_id", "post_logout_redirect_uri"} | hint

    def test_session_is_gone(self, start: Start, entra: Emulator) -> None:
        """A provider asks the person whose session here is gone."""
        entra.openid_logout = "asks_without_hint"
        live, person = site(start, entra), entra.person()
        person.visit(live.url + "/me")
        person.cookies.clear(live.url, "session")
        person.pages.clear()
        assert BYE in sign_out(live, person).text
        assert person.pages == ["leave"] and not is_known(live, person)

    def test_two_tabs(self, start: Start, entra: Emulator) -> None:
        """The second tab's sign-out, a moment later, ends on the app's page, too."""
        live, person = site(start, entra), entra.person()
        person.visit(live.url + "/me")
        form = {"token": logout_token(person.get(live.url + "/auth/logout"))}
        other = {"token": logout_token(person.get(live.url + "/auth/logout"))}
        for tab in (form, other, other):
            shown = person.visit(live.url + "/auth/logout", tab)
            if "Sign out" in shown.text and "token" in shown.text:
                shown = person.submit(shown)
            assert BYE in shown.text
        assert [call.kind for call in entra.calls].count("logout") == 1


class TestRevocation:
    @pytest.mark.parametrize("proof", ["basic", "post", "assertion"])
    def test_revoked(self, start: Start, entra: Emulator, proof: str) -> None:
        """The refresh token ends with the session, by the token endpoint's proof."""
        more: dict[str, t.Any] = {}
        if proof == "assertion":
            own = Identity()
            entra.register_certificate(own.public_pem())
            pem = {"private_key": own.private_pem()}
            pem["public_certificate"] = own.public_pem()
            more["MSAL_CLIENT_CREDENTIAL"] = pem
        entra.openid_client_auth = "basic" if proof == "basic" else "post"
        live = site(start, entra, **more)
        person = entra.person()
        assert person.visit(live.url + "/mail").status_code == 200
        held = entra.tenant.refresh_tokens
        assert held
        assert BYE in sign_out(live, person).text
        assert not held and entra.counters["revocation.200"] == 1
        call = next(c for c in entra.calls if c.kind == "revocation")
        names = {"token", "token_type_hint", "client_id"}
        assert names <= call.form.keys() and "grant_type" not in call.form

    @pytest.mark.parametrize("fault", ["unavailable", "slow", "refused"])
    def test_failure(
        self,
        start: Start,
        entra: Emulator,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        fault: str,
    ) -> None:
        """A revocation that fails, or takes too long, is logged and keeps nobody."""
        monkeypatch.setattr(client, "PATIENCE", 0.5)
        live, person = site(start, entra), entra.person()
        person.visit(live.url + "/mail")
        if fault == "refused":
            entra.fail_next({"error": "invalid_client"}, "revocation", 401)
        elif fault == "slow":
            entra.slow(5, "revocation")
        else:
            entra.unavailable(target="revocation")
        began = time.monotonic()
        assert BYE in sign_out(live, person).text
        assert fault != "slow" or time.monotonic() - began < 5
        assert caplog.text.count("The refresh token was not revoked") == 1
        assert not any(token in caplog.text for token in entra.tenant.refresh_tokens)


class TestUrl:
    def test_template(self, start: Start, entra: Emulator) -> None:
        """A provider with a sign-out of its own gets what the setting describes."""
        entra.openid_logout, entra.openid_sign_out = "logout_uri", False
        place = f"{entra.pages_url}/openid/logout"
        live = site(
            start,
            entra,
            MSAL_LOGOUT_URL=place + "?client_id={client_id}&logout_uri={return_url}",
        )
        entra.openid_logout_uris = {live.url + "/auth/signed-out"}
        person = entra.person()
        person.visit(live.url + "/me")
        assert BYE in sign_out(live, person).text
        assert query(next(url for url in person.history if place in url)) == {
            "client_id": entra.client_id,
            "logout_uri": live.url + "/auth/signed-out",
        }
        assert not is_known(live, person)

    def test_none(self, start: Start, entra: Emulator) -> None:
        """Without an end session endpoint, this browser's page says what that means."""
        entra.openid_sign_out = False
        for setting in (None, "/"):
            live, person = site(start, entra, MSAL_POST_LOGOUT=setting), entra.person()
            person.visit(live.url + "/me")
            shown = sign_out(live, person)
            if setting is None:
                assert shown.url == live.url + "/auth/signed-out"
                assert "of this app only" in shown.text
                other = entra.person().get(shown.url)
                assert "of this app only" not in other.text
            else:
                assert shown.text == "hello nobody"
